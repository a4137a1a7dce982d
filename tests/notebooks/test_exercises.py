"""Exercises: a check fails on the stub, says what is wrong with a wrong answer, and passes.

The notebooks are run on a lab on paper, so that this takes seconds; nbval runs them on a real one.
"""

from __future__ import annotations

import re
from contextlib import suppress
from copy import copy
from pathlib import Path
from typing import Any

import lab
import nbformat
import pytest
from paper_lab import PaperLab

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("A*.ipynb"))
SOLUTION = re.compile(r"^( *)### BEGIN SOLUTION\n.*?### END SOLUTION", re.DOTALL | re.MULTILINE)


def code_cells(path: Path) -> list[Any]:
    notebook = nbformat.read(path, as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tags(cell: Any) -> list[str]:
    return list(cell.metadata.get("tags", []))


def exercises(path: Path) -> dict[str, tuple[str, list[str]]]:
    """Name -> source with its solution, and the sources of the checks that follow it."""
    found: dict[str, tuple[str, list[str]]] = {}
    for cell in code_cells(path):
        if "exercise" in tags(cell):
            name = cell.metadata.nbgrader.grade_id
            found[name] = (cell.source, [])
        elif "check" in tags(cell):
            found[name][1].append(cell.source)
    return found


EXERCISES = {
    name: (path, source, checks)
    for path in NOTEBOOKS
    for name, (source, checks) in exercises(path).items()
}


def stub(source: str) -> str:
    """As students get it."""
    return SOLUTION.sub(r"\1raise NotImplementedError", source)


@pytest.fixture(scope="module")
def namespaces() -> dict[Path, dict[str, Any]]:
    """What each notebook has defined when it ends, run with its solutions on a lab on paper."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lab, "display", lambda _: None)
        patch.setattr(lab, "connect", PaperLab)
        patch.setattr("time.sleep", lambda _: None)
        for path in NOTEBOOKS:
            found[path] = namespace = {"__name__": "__main__"}
            for cell in code_cells(path):
                run(cell.source, namespace)
    return found


def run(source: str, namespace: dict[str, Any]) -> None:
    exec(compile(source, "cell", "exec"), namespace)


def attempt(name: str, source: str, namespaces: dict[Path, dict[str, Any]]) -> None:
    """The exercise's cell with this source, then its checks, behind the rest of the notebook."""
    path, _, checks = EXERCISES[name]
    namespace = copy(namespaces[path])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.sleep", lambda _: None)
        with suppress(NotImplementedError):  # a stub that is no function
            run(source, namespace)
        for check in checks:
            run(check, namespace)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_each_notebook_has_two_exercises_with_solution_and_check(path: Path) -> None:
    """The solution between nbgrader's marks, the check opening with what it checks."""
    assert len(exercises(path)) >= 2
    for source, checks in exercises(path).values():
        assert SOLUTION.search(source)
        assert checks
        assert all(check.startswith('"""') for check in checks)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_ids_for_nbgrader_are_unique(path: Path) -> None:
    """It refuses a notebook in which two cells have one."""
    cells = [cell for cell in code_cells(path) if {"solution", "check"} & set(tags(cell))]
    ids = [cell.metadata.nbgrader.grade_id for cell in cells]
    assert len(ids) == len(set(ids))
    assert [cell.metadata.nbgrader.solution for cell in cells] == [
        "solution" in tags(cell) for cell in cells
    ]


@pytest.mark.parametrize("name", EXERCISES)
def test_the_solution_passes(name: str, namespaces: dict[Path, dict[str, Any]]) -> None:
    """All checks of the exercise."""
    attempt(name, EXERCISES[name][1], namespaces)


@pytest.mark.parametrize("name", EXERCISES)
def test_the_stub_fails(name: str, namespaces: dict[Path, dict[str, Any]]) -> None:
    """Nothing is passed by doing nothing."""
    source = stub(EXERCISES[name][1])
    assert "SOLUTION" not in source
    with pytest.raises((NotImplementedError, AssertionError)):
        attempt(name, source, namespaces)


WRONG = [
    pytest.param(
        "a1-shares",
        """
def shares_of(slots, num_slots):
    total = sum(map(len, slots.values()))
    return {server: len(own) / total for server, own in slots.items()}
""",
        "part of the virtual nodes",
        id="a1-shares: virtual nodes counted",
    ),
    pytest.param(
        "a1-shares",
        """
def shares_of(slots, num_slots):
    owner = {slot: server for server, own in slots.items() for slot in own}
    taken, shares = sorted(owner), dict.fromkeys(slots, 0.0)
    for slot, after in zip(taken, [*taken[1:], taken[0] + num_slots]):
        shares[owner[slot]] += (after - slot) / num_slots
    return shares
""",
        "goes clockwise",
        id="a1-shares: counter-clockwise",
    ),
    pytest.param(
        "a1-shares",
        """
def shares_of(slots, num_slots):
    owner = {slot: server for server, own in slots.items() for slot in own}
    taken, shares = sorted(owner), dict.fromkeys(slots, 0.0)
    for before, slot in zip(taken, taken[1:]):
        shares[owner[slot]] += (slot - before) / num_slots
    return shares
""",
        "through slot 0",
        id="a1-shares: the ring is cut open",
    ),
    pytest.param("a1-blind", "smallest_d = 1", "more are needed", id="a1-blind: too small"),
    pytest.param("a1-blind", "smallest_d = 500", "enough already", id="a1-blind: too large"),
    pytest.param("a1-blind", "smallest_d = None", "whole number", id="a1-blind: none"),
    pytest.param(
        "a2-needed",
        "def servers_needed(preset, limit):\n    return -(-10_000 // limit)",
        "the average, not the busiest",
        id="a2-needed: the average",
    ),
    pytest.param(
        "a2-needed",
        """
def servers_needed(preset, limit):
    for n in range(1, 7):
        if lab.predict(request_ids, n, preset).max() < limit:
            return n
""",
        "is within it",
        id="a2-needed: below in place of at most",
    ),
    pytest.param(
        "a2-needed",
        """
def servers_needed(preset, limit):
    n = 1
    while lab.predict(request_ids, n, preset).max() > limit:
        n += 1
    return n
""",
        "RingFull",
        id="a2-needed: a full ring",
    ),
    pytest.param(
        "a2-spread",
        "def spread(counts):\n    return (max(counts) - min(counts)) / (sum(counts) / len(counts))",
        "the range",
        id="a2-spread: the range",
    ),
    pytest.param(
        "a2-spread",
        "from statistics import mean, stdev\nspread = lambda counts: stdev(counts) / mean(counts)",
        "n - 1",
        id="a2-spread: of a sample",
    ),
    pytest.param(
        "a2-spread",
        "from statistics import pstdev as spread",
        "divide it by the mean",
        id="a2-spread: not divided",
    ),
    pytest.param(
        "a3-absent",
        """
def absent_s(events, hostname):
    at = {event["kind"]: event["time"] for event in events if event.get("hostname") == hostname}
    return at["replaced"] - at.get("dead", at.get("suspect"))
""",
        "a suspect gets no requests",
        id="a3-absent: from dead on",
    ),
    pytest.param(
        "a3-absent",
        """
def absent_s(events, hostname):
    began = min(event["time"] for event in events if event["kind"] in ("suspect", "dead"))
    own = [event for event in events if event.get("hostname") == hostname]
    return max(event["time"] for event in own if event["kind"] == "replaced") - began
""",
        "look at the hostname",
        id="a3-absent: another server's events",
    ),
    pytest.param(
        "a3-heirs",
        """
def heirs(ring, hostname, request_ids):
    own = sum(ring.lookup(request_id) == hostname for request_id in request_ids)
    others = [node for node in ring.nodes if node != hostname]
    return {node: own // 2 + (own % 2 if node == others[0] else 0) for node in others}
""",
        "not shared evenly",
        id="a3-heirs: evenly",
    ),
    pytest.param(
        "a3-heirs",
        """
from collections import Counter

def heirs(ring, hostname, request_ids):
    return Counter(map(ring.lookup, request_ids))
""",
        "cannot stand in for itself",
        id="a3-heirs: the first of the list",
    ),
    pytest.param(
        "a3-heirs",
        """
from collections import Counter

def heirs(ring, hostname, request_ids):
    standby = (ring.preference_list(request_id)[1] for request_id in request_ids)
    return Counter(node for node in standby if node != hostname)
""",
        "were dealt out",
        id="a3-heirs: of all servers",
    ),
    pytest.param(
        "a4-phi",
        "def my_phi(node_id, j):\n    return node_id**2 + j**2 + 2 * j + 25",
        "the widest gap",
        id="a4-phi: the assignment's",
    ),
    pytest.param(
        "a4-phi",
        "def my_phi(node_id, j):\n    return 512 / 9 * j + node_id",
        "whole numbers",
        id="a4-phi: not whole",
    ),
    pytest.param(
        "a4-phi",
        "def my_phi(node_id, j):\n    return 57 * j",
        "want a slot that is taken",
        id="a4-phi: the same for all servers",
    ),
    pytest.param(
        "a4-attack",
        "def same_slot_ids(count):\n    return [126_225 + 2654435761 * k for k in range(count)]",
        "six digits",
        id="a4-attack: too long",
    ),
    pytest.param(
        "a4-attack",
        "def same_slot_ids(count):\n    return [126_225] * count",
        "twice",
        id="a4-attack: one id",
    ),
    pytest.param(
        "a4-attack",
        "def same_slot_ids(count):\n    return [126_225 + 512 * k for k in range(count)]",
        "What may you add",
        id="a4-attack: another modulus",
    ),
]


@pytest.mark.parametrize(("name", "source", "hint"), WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(
    name: str, source: str, hint: str, namespaces: dict[Path, dict[str, Any]]
) -> None:
    """Not only that it is."""
    with pytest.raises(AssertionError, match=hint):
        attempt(name, source, namespaces)


def test_each_exercise_has_its_wrong_answers() -> None:
    """Two at least of those that learners give."""
    names = [param.values[0] for param in WRONG]
    assert dict.fromkeys(EXERCISES, True) == {name: names.count(name) >= 2 for name in EXERCISES}
