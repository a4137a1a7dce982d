"""What two workers come to beside one."""

from pathlib import Path

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.workers.command import Run, verdict
from benchmarks.workers.quota import limited


def run(workers: int, requests_per_s: float, cores: float = 0.4) -> Run:
    return Run(workers, requests_per_s, cpu_us=10.0, cores=workers * cores, idle=0.5)


def test_the_ratio_is_taken_within_rounds() -> None:
    """Then a disturbance that lasts a round meets both."""
    rounds = [[run(1, 100), run(2, 190)], [run(1, 10), run(2, 17)], [run(1, 100), run(2, 180)]]
    assert verdict(rounds, 0.4).startswith("two workers to one: 1.80 of the requests/s (aim: at")
    assert "reached" in verdict(rounds, 0.4)
    assert "missed" in verdict([[run(1, 100), run(2, 150)]], 0.4)


def test_workers_that_were_not_the_bound() -> None:
    """If load or origin were, the figure is theirs, and not told."""
    with pytest.raises(BenchmarkError, match=r"2 workers used 0\.60 cores of 0\.80: "):
        verdict([[run(1, 100), run(2, 150, cores=0.3)]], 0.4)
    assert "1.50" in verdict([[run(1, 100), run(2, 150, cores=0.3)]], 0.0)


def test_a_quota_that_may_not_be_set(tmp_path: Path) -> None:
    """It is said, in place of a measurement without."""
    with (
        pytest.raises(BenchmarkError, match="a CPU quota needs cgroups that we may write"),
        limited(1, 0.4, root=tmp_path / "none"),
    ):
        pass
