"""A line of the inventory for each lab: made side by side, listed, and taken away one by one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from labs import NAMES, ROOT, Lab, free_port, play
from plays import attempt

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

STUDENTS = ["ringlab-alice", "ringlab-bob", "ringlab-carol"]
RUNTIMES = os.environ.get("RINGLAB_TEST_RUNTIMES", "process").split()


@pytest.fixture(scope="module")
def labs() -> Iterator[list[Lab]]:
    """Not made yet; in containers where that can be, the last one in processes."""
    for name in STUDENTS:
        play("playbooks/destroy.yml", lab_name=name)  # what a broken run left
    runtimes = [RUNTIMES[0], RUNTIMES[0], "process"]
    yield [
        Lab(name, runtime, free_port()) for name, runtime in zip(STUDENTS, runtimes, strict=True)
    ]
    for name in STUDENTS:
        play("playbooks/destroy.yml", lab_name=name)


def classroom(
    folder: Path, labs: list[Lab], playbook: str, *options: str
) -> subprocess.CompletedProcess[str]:
    """A playbook for these lines beside those of the inventory."""
    lines = [
        f"{lab.name} ansible_connection=local lab_name={lab.name} lab_port={lab.port}"
        f" lab_runtime={lab.runtime} lab_jupyter=false"
        for lab in labs
    ]
    inventory = folder / "classroom.ini"
    inventory.write_text("\n".join(["[lab]", *lines]))
    both = ["-i", "inventory.ini", "-i", str(inventory)]
    limit = [] if "--limit" in options else ["--limit", ":".join(lab.name for lab in labs)]
    return attempt(playbook, *both, *limit, *options)


def test_a_name_or_a_port_given_twice_is_refused(tmp_path: Path, labs: list[Lab]) -> None:
    """Before anything is made, with both."""
    first, second, _ = labs
    run = classroom(tmp_path, [first, Lab("ringlab-bob", "process", first.port)], "site.yml")
    assert run.returncode != 0
    assert "lab_port" in run.stdout
    assert f"{first.port}, {first.port}" in " ".join(run.stdout.split())
    other = Lab("ringlab-eve", "process", second.port)
    run = attempt("site.yml", "-i", "inventory.ini", "-i", write(tmp_path, first, other))
    assert run.returncode != 0
    assert "lab_name must differ" in " ".join(run.stdout.split())


def write(folder: Path, first: Lab, other: Lab) -> str:
    """Two lines of one name."""
    inventory = folder / "alike.ini"
    lines = [
        f"{each.name} ansible_connection=local lab_name={first.name} lab_port={each.port}"
        for each in (first, other)
    ]
    inventory.write_text("\n".join(["[lab]", *lines]))
    return str(inventory)


def test_all_are_made_in_one_run(tmp_path: Path, labs: list[Lab]) -> None:
    """And a second one changes nothing."""
    run = classroom(tmp_path, labs, "site.yml")
    assert 0 == run.returncode, run.stdout + run.stderr
    assert [NAMES] * 3 == [lab.replicas() for lab in labs]
    again = classroom(tmp_path, labs, "site.yml")
    assert 3 == again.stdout.count(" changed=0 "), again.stdout


def test_all_are_listed(labs: list[Lab]) -> None:
    """By make inspect, with where they serve and what runs there."""
    labs[0].call("PUT", "/ring", json={"algorithm": "jump"})
    script = [sys.executable, ROOT / "scripts" / "inspect_lab.py"]
    shown = subprocess.run([*script, "--format", "json"], capture_output=True, check=True)
    found = {each["name"]: each for each in json.loads(shown.stdout)}
    for lab in labs:
        assert (lab.runtime, lab.url) == (found[lab.name]["runtime"], found[lab.name]["url"])
        assert NAMES == list(found[lab.name]["lab"]["replicas"])
    assert "jump" == found[labs[0].name]["lab"]["ring"]["algorithm"]
    shown = subprocess.run(script, capture_output=True, check=True, text=True)
    assert all(lab.url in shown.stdout for lab in labs)


def test_one_is_taken_away(tmp_path: Path, labs: list[Lab]) -> None:
    """And the others serve on."""
    run = classroom(tmp_path, labs, "playbooks/destroy.yml", "--limit", labs[1].name)
    assert 0 == run.returncode, run.stdout + run.stderr
    assert not (ROOT / ".ringlab" / labs[1].name).exists()
    assert [NAMES] * 2 == [lab.replicas() for lab in (labs[0], labs[2])]
