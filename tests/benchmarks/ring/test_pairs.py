"""What is timed does what it says, and both sides have the same task."""

import argparse
from pathlib import Path

import pytest

from benchmarks.ring import command
from benchmarks.ring.pairs import Pair


def test_a_run_is_timed_per_task() -> None:
    """Repeated until it is long enough, however quick it is."""
    calls = []

    def task() -> int:
        calls.append(1)
        return 10

    seconds = command.seconds_of(task)
    assert len(calls) * 10 * seconds >= command.MIN_S


def test_a_page_of_results(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The ratio is the peer's time over ours, and it says whether the aim is reached."""
    monkeypatch.setattr(command, "RESULTS", tmp_path)
    monkeypatch.setattr(command, "MIN_S", 0.0)
    times = iter([1.0, 4.0, 2.0, 6.0, 3.0, 12.0])
    monkeypatch.setattr(command, "seconds_of", lambda task: next(times))
    monkeypatch.setattr(command, "pairs", lambda: [Pair("a task", int, int, 4)])
    command.run(argparse.Namespace(rounds=3, quick=False))
    assert "| a task | 2e+09 | 6e+09 | 4 | 4 | reached |" in capsys.readouterr().out
    assert "times as fast" in (tmp_path / "ring.md").read_text()
    assert '"ratio": 4.0' in (tmp_path / "ring.json").read_text()


def test_quick_stores_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All pairs run, twice, and results stay as they are."""
    monkeypatch.setattr(command, "RESULTS", tmp_path)
    monkeypatch.setattr(command, "MIN_S", 0.0)
    monkeypatch.setattr(command, "pairs", lambda: [Pair("a task", lambda: 1, lambda: 1, 1)])
    command.run(argparse.Namespace(rounds=9, quick=True))
    assert [] == list(tmp_path.iterdir())
