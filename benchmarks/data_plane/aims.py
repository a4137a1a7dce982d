"""What the data plane is meant to reach. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.data_plane.peers import NGINX, OURS, STUDENT, UNCOUNTED, WATCHED
from benchmarks.data_plane.summary import Run, paired_ratio


@dataclass(frozen=True)
class Aim:
    """A bound on the paired ratio of one figure of two peers."""

    title: str
    case: str
    figure: str
    of: str
    to: str
    at_most: float = float("inf")
    at_least: float = 0.0

    @property
    def bound(self) -> str:
        return f"at least {self.at_least:g}" if self.at_least else f"at most {self.at_most:g}"

    def ratio(self, runs: Sequence[Run]) -> float | None:
        """None if what is needed for it was not measured."""
        return paired_ratio(runs, self.case, self.figure, of=self.of, to=self.to)

    def is_reached(self, ratio: float) -> bool:
        return self.at_least <= ratio <= self.at_most


AIMS = [
    Aim("CPU per request, ours to nginx's", "small-32", "cpu_us", OURS, NGINX, at_most=1.3),
    Aim("CPU per request, the student's to ours", "small-32", "cpu_us", STUDENT, OURS, at_least=40),
    Aim("p99 at the same rate, ours to nginx's", "paced-32", "p99_ms", OURS, NGINX, at_most=1.5),
    Aim(
        "CPU per request, counted to uncounted", "small-32", "cpu_us", OURS, UNCOUNTED, at_most=1.02
    ),
    Aim(
        "CPU per request, watched by 20 to ours", "small-32", "cpu_us", WATCHED, OURS, at_most=1.05
    ),
]
