"""Exercises: a check fails on the stub, says what is wrong with a wrong answer, and passes.

The notebooks are run on a lab on paper, so that this takes seconds; nbval runs them on a real one.
"""

from __future__ import annotations

import runpy
from contextlib import suppress
from copy import copy
from pathlib import Path
from typing import Any

import lab
import nbformat
import pytest
from course import SOLUTION, stub
from paper_lab import PaperLab

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


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
    pytest.param(name, source, hint, id=f"{name}: {what}")
    for path in sorted((Path(__file__).parent / "wrong_answers").glob("*.py"))
    for name, what, hint, source in runpy.run_path(str(path))["WRONG"]
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
