"""The benchmark itself, as short as it can be, on real programs. No stopwatch: figures need only be
there, for a busy machine makes any of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from labs import ROOT, eventually

from benchmarks.data_plane import commands
from benchmarks.data_plane.cases import CASES
from benchmarks.data_plane.command import chosen
from benchmarks.data_plane.peers import COMMANDS, VARIANTS
from benchmarks.data_plane.summary import FIGURES
from benchmarks.errors import BenchmarkError, MissingCommand

SHORT = ["small-32", "upload-32", "paced-32"]
PAIR = ["nginx", "ringlab"]
QUICK = [sys.executable, "-m", "benchmarks", "data_plane", "--quick"]


@pytest.fixture(scope="module", autouse=True)
def _programs() -> None:
    """Missing ones are installed; if that cannot be, it is a failure, never a skip."""
    commands.ensure()


def test_a_quick_run_has_every_figure(tmp_path: Path) -> None:
    """Of nginx and ours: printed, stored as a page, as JSON and as a figure."""
    only = [option for name in [*SHORT, *PAIR] for option in ("--only", name)]
    command = [*QUICK, *only, "--output", str(tmp_path)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert 0 == run.returncode, run.stdout + run.stderr
    content = json.loads((tmp_path / "data-plane.json").read_text())
    assert [(case, peer) for case in SHORT for peer in PAIR] == [
        (each["case"], each["peer"]) for each in content["runs"]
    ]
    assert all(each[figure] > 0 for each in content["runs"] for figure in (*FIGURES, "requests"))
    assert (tmp_path / "data-plane.md").read_text() in run.stdout
    assert "<svg" in (tmp_path / "data-plane.svg").read_text()


def test_what_ours_costs_otherwise(tmp_path: Path) -> None:
    """Without its counters, and with twenty who look on: measured where a request costs least."""
    peers = ["ringlab", *VARIANTS]
    only = [option for name in [*SHORT, *peers] for option in ("--only", name)]
    command = [*QUICK, *only, "--output", str(tmp_path)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert 0 == run.returncode, run.stdout + run.stderr
    content = json.loads((tmp_path / "data-plane.json").read_text())
    assert peers == [each["peer"] for each in content["runs"] if each["case"] == "small-32"]
    ratios = {aim["title"]: aim["ratio"] for aim in content["aims"] if aim["ratio"]}
    assert 2 == len(ratios)


def test_an_interrupt_leaves_nothing_over(tmp_path: Path) -> None:
    """Ctrl-C in the middle of a run: no process and no file is left, nothing is stored."""
    environment = os.environ | {"TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [*QUICK, "--seconds", "30", "--only", "small-32", "--output", str(tmp_path / "results")],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as benchmark:
        assert benchmark.stdout is not None
        assert benchmark.stdout.readline().startswith("round 1 of 1")
        eventually(lambda: "wrk" in _children(benchmark.pid).values(), within_s=20)
        started = _children(benchmark.pid)
        benchmark.send_signal(signal.SIGINT)
        _, told = benchmark.communicate(timeout=60)
    assert "interrupted, nothing is stored" in told
    assert len(started) == 9  # the origin, six peers, who watches one of them, and wrk
    assert [] == [pid for pid in started if Path(f"/proc/{pid}").exists()]
    assert [] == list(tmp_path.iterdir())


def test_only_chooses_by_name() -> None:
    """Cases and peers, in their usual order; those not named at all are all meant."""
    assert (["small-32", "upload-32"], ["nginx", "ringlab"]) == chosen(
        ["upload-32", "ringlab", "small-32", "nginx"]
    )
    assert (list(CASES), ["HAProxy"]) == chosen(["HAProxy"])
    assert (["paced-32"], list(COMMANDS)) == chosen(["paced-32"])
    with pytest.raises(BenchmarkError, match="got apache"):
        chosen(["apache", "nginx"])


def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what would install it, where it cannot be installed from here."""
    refused = subprocess.CompletedProcess([], 1, "", "needs root or passwordless sudo")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: refused)
    with pytest.raises(MissingCommand, match=r"(?s)no-such-program missing.*needs root"):
        commands.ensure(["sh", "no-such-program"])


def _children(parent: int) -> dict[int, str]:
    """Process id → name of those that `parent` has started."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = path.read_text().partition("(")[2].rpartition(")")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(rest.split()[1]) == parent:
            found[int(path.parent.name)] = name
    return found
