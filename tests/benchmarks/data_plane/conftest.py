"""Runs as a test needs them: what matters is given, the rest is 1."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.data_plane.summary import Run


@pytest.fixture
def make_run() -> Callable[..., Run]:
    def make(peer: str, *, round: int = 1, case: str = "small-32", **figures: float) -> Run:
        ones = dict.fromkeys(("cpu_us", "requests_per_s", "p50_ms", "p99_ms", "p999_ms"), 1.0)
        return Run(round=round, case=case, peer=peer, requests=1000, **(ones | figures))

    return make
