"""The course on a real lab: every stored output again, and red when lab or output are wrong."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from front import Spoil, drop_one_in_a_hundred, front, place_one_virtual_node
from jupyter_client.manager import start_new_kernel
from labs import ROOT, Lab, eventually
from nbval_runs import FAILURE, NOTEBOOKS, SPREAD, failed_cells, nbval

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1800)]

# What is about the notebooks alone is seen in one runtime.
on_processes = pytest.mark.parametrize("standing_lab", ["process"], indirect=True)


def test_every_stored_output_is_seen_again(lab: Lab) -> None:
    """Processes and containers give the same; on processes the notebooks run last to first."""
    paths = NOTEBOOKS if lab.runtime == "docker" else NOTEBOOKS[::-1]
    run = nbval(lab.url, paths)
    assert 0 == run.returncode, run.stdout
    ring = lab.call("GET", "/ring").json()["message"]
    assert ("default", ["Server1", "Server2", "Server3"]) == (ring["preset"], lab.replicas())


@on_processes
def test_what_is_executed_to_be_stored_is_what_is_stored(lab: Lab, tmp_path: Path) -> None:
    """The authors' way to store a run gives the outputs that are there."""
    copy = tmp_path / NOTEBOOKS[0].name
    shutil.copy(NOTEBOOKS[0], copy)
    shutil.copy(ROOT / "notebooks" / "lab.py", tmp_path)
    script = ROOT / "scripts" / "course.py"
    environment = os.environ | {"RINGLAB_URL": lab.url}
    subprocess.run([sys.executable, script, "execute", copy], env=environment, check=True)
    before, after = (nbformat.read(path, as_version=4) for path in (NOTEBOOKS[0], copy))
    for old, new in zip(before.cells, after.cells, strict=True):
        if "nbval-ignore-output" not in old.metadata.get("tags", []):
            assert old == new


@on_processes
def test_a_number_changed_by_hand_is_found(lab: Lab, tmp_path: Path) -> None:
    """One digit of one stored output, and that cell alone is red."""
    notebook = nbformat.read(SPREAD, as_version=4)
    cell = next(
        cell
        for cell in notebook.cells
        if cell.cell_type == "code"
        and "3073" in str(cell.outputs)
        and "svg" not in str(cell.outputs)
    )
    output = next(output for output in cell.outputs if "3073" in str(output))
    output["data"]["text/plain"] = output["data"]["text/plain"].replace("3073", "3074")
    changed = tmp_path / SPREAD.name
    nbformat.write(notebook, changed)
    shutil.copy(ROOT / "notebooks" / "lab.py", tmp_path)
    run = nbval(lab.url, [changed])
    assert [cell.source] == failed_cells(run, changed), run.stdout


@on_processes
@pytest.mark.parametrize("spoil", [drop_one_in_a_hundred, place_one_virtual_node])
def test_a_lab_with_a_fault_fails_at_the_verdict(lab: Lab, spoil: Spoil) -> None:
    """1 % of the requests lost, or one virtual node for K: not seen in a chart, and said here."""
    with front(lab.url, spoil) as url:
        run = nbval(url, [SPREAD])
    assert "lab.verdict(" in "\n".join(failed_cells(run, SPREAD)), run.stdout


def test_a_kernel_killed_in_mid_experiment_leaves_a_usable_lab(lab: Lab) -> None:
    """SIGKILL while a server is down: the next notebook finds N = 3 and its ring all the same."""
    cells = [
        cell for cell in nbformat.read(FAILURE, as_version=4).cells if cell.cell_type == "code"
    ]
    fatal = next(number for number, cell in enumerate(cells) if "ringlab.crash(" in cell.source)
    manager, client = start_new_kernel(
        cwd=str(FAILURE.parent), env=os.environ | {"RINGLAB_URL": lab.url}
    )
    try:
        for cell in cells[:fatal]:
            answer = client.execute_interactive(cell.source, timeout=60, output_hook=lambda _: None)
            assert "ok" == answer["content"]["status"]
        client.execute(cells[fatal].source)
        eventually(lambda: "dead" in kinds(lab), within_s=60)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)  # SIGKILL
    run = nbval(lab.url, NOTEBOOKS[:1])
    assert 0 == run.returncode, run.stdout


def kinds(lab: Lab) -> list[str]:
    """Of the events since this test's ring was set."""
    answer = lab.call("GET", "/events", headers={"Accept": "application/json"})
    events = [event["kind"] for event in answer.json()]
    return events[len(events) - events[::-1].index("ring") :]
