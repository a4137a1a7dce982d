"""What runs come to: medians over rounds, and ratios that are paired. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

# The figures of a run, in their units.
FIGURES = ("cpu_us", "requests_per_s", "p50_ms", "p99_ms", "p999_ms")


@dataclass(frozen=True)
class Run:
    """One peer, one case, one round. CPU time is the peer's, per request answered."""

    round: int
    case: str
    peer: str
    requests: int
    cpu_us: float
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    p999_ms: float


def medians(runs: Iterable[Run], case: str, peer: str) -> dict[str, float]:
    """Figure → its median over rounds; empty if the peer has no run of this case."""
    chosen = [run for run in runs if (run.case, run.peer) == (case, peer)]
    return {figure: median(getattr(run, figure) for run in chosen) for figure in FIGURES if chosen}


def paired_ratio(runs: Iterable[Run], case: str, figure: str, *, of: str, to: str) -> float | None:
    """Median over rounds of the ratio within a round; None if no round has both peers."""
    values: dict[str, dict[int, float]] = {of: {}, to: {}}
    for run in runs:
        if run.case == case and run.peer in values:
            values[run.peer][run.round] = getattr(run, figure)
    ratios = [values[of][each] / values[to][each] for each in values[of] if each in values[to]]
    return median(ratios) if ratios else None
