"""A line of the inventory for each lab: made side by side, listed, and taken away one by one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from labs import NAMES, ROOT, Lab, free_port, play
from plays import attempt

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

STUDENTS = ["ringlab-alice", "ringlab-bob", "ringlab-carol"]
RUNTIMES = os.environ.get("RINGLAB_TEST_RUNTIMES", "process").split()


@pytest.fixture(scope="module")
def labs() -> Iterator[dict[str, Lab]]:
    """Not made yet; in containers where that can be, the last one in processes."""
    for name in STUDENTS:
        play("playbooks/destroy.yml", lab_name=name)  # what a broken run left
    runtimes = [RUNTIMES[0], RUNTIMES[0], "process"]
    yield {
        name: Lab(name, runtime, free_port())
        for name, runtime in zip(STUDENTS, runtimes, strict=True)
    }
    for name in STUDENTS:
        play("playbooks/destroy.yml", lab_name=name)


def classroom(
    folder: Path, labs: Mapping[str, Lab], playbook: str, *options: str
) -> subprocess.CompletedProcess[str]:
    """A playbook for lines of these names beside those of the inventory, and not for the latter."""
    lines = [
        f"{line} ansible_connection=local lab_name={lab.name} lab_port={lab.port}"
        f" lab_runtime={lab.runtime} lab_jupyter=false"
        for line, lab in labs.items()
    ]
    inventory = folder / "classroom.ini"
    inventory.write_text("\n".join(["[lab]", *lines]))
    both = ["-i", "inventory.ini", "-i", str(inventory)]
    limit = [] if "--limit" in options else ["--limit", ":".join(labs)]
    return attempt(playbook, *both, *limit, *options)


@pytest.mark.parametrize(
    ("name", "port", "told"),
    [
        ("ringlab-bob", 5101, "lab_port (with lab_jupyter_port, which is lab_port + 3838)"),
        ("ringlab-bob", 5101 + 3838, "lab_port (with lab_jupyter_port, which is lab_port + 3838)"),
        ("ringlab-alice", 5102, "lab_name"),
    ],
)
def test_what_two_lines_want_is_refused(tmp_path: Path, name: str, port: int, told: str) -> None:
    """Before anything is made, with all that is wanted."""
    labs = {"a": Lab("ringlab-alice", "process", 5101), "b": Lab(name, "process", port)}
    run = classroom(tmp_path, labs, "site.yml")
    assert run.returncode != 0
    assert set() == set(re.findall(r"changed=([1-9]\d*)", run.stdout))
    output = " ".join(run.stdout.split())
    assert f"{told} must differ from line to line of the inventory, got" in output
    assert (name if told == "lab_name" else str(port)) in output.partition("must differ")[2]


def test_all_are_made_in_one_run(tmp_path: Path, labs: dict[str, Lab]) -> None:
    """And a second one changes nothing."""
    run = classroom(tmp_path, labs, "site.yml")
    assert 0 == run.returncode, run.stdout + run.stderr
    assert [NAMES] * 3 == [lab.replicas() for lab in labs.values()]
    again = classroom(tmp_path, labs, "site.yml")
    assert 3 == again.stdout.count(" changed=0 "), again.stdout


def test_all_are_listed(labs: dict[str, Lab]) -> None:
    """By make inspect, with where they serve and what runs there."""
    labs[STUDENTS[0]].call("PUT", "/ring", json={"algorithm": "jump"})
    script = [sys.executable, ROOT / "scripts" / "inspect_lab.py"]
    shown = subprocess.run([*script, "--format", "json"], capture_output=True, check=True)
    found = {each["name"]: each for each in json.loads(shown.stdout)}
    for lab in labs.values():
        assert (lab.runtime, lab.url) == (found[lab.name]["runtime"], found[lab.name]["url"])
        assert NAMES == list(found[lab.name]["lab"]["replicas"])
    assert "jump" == found[STUDENTS[0]]["lab"]["ring"]["algorithm"]
    shown = subprocess.run(script, capture_output=True, check=True, text=True)
    assert all(lab.url in shown.stdout for lab in labs.values())


def test_one_is_taken_away(tmp_path: Path, labs: dict[str, Lab]) -> None:
    """And the others serve on."""
    run = classroom(tmp_path, labs, "playbooks/destroy.yml", "--limit", STUDENTS[1])
    assert 0 == run.returncode, run.stdout + run.stderr
    assert not (ROOT / ".ringlab" / STUDENTS[1]).exists()
    assert [NAMES] * 2 == [lab.replicas() for lab in (labs[STUDENTS[0]], labs[STUDENTS[2]])]
