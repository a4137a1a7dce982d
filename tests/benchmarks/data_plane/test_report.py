"""The page, the JSON and the figure of a measurement."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.data_plane.figure import draw
from benchmarks.data_plane.report import as_json, page
from benchmarks.data_plane.summary import Run

TABLE = """\
## Small answers, 32 connections

|         | CPU per request, µs | × nginx | requests/s | × nginx | p50, ms | p99, ms | × nginx | \
p99.9, ms |
| ------- | ------------------: | ------: | ---------: | ------: | ------: | ------: | ------: | \
--------: |
| nginx   |                  20 |       1 |     24,300 |       1 |     1.5 |       3 |       1 | \
        5 |
| ringlab |                  50 |     2.5 |      8,100 |   0.333 |     3.2 |       6 |       2 | \
     12.3 |
"""


@pytest.fixture
def runs(make_run: Callable[..., Run]) -> list[Run]:
    return [
        make_run("ringlab", cpu_us=50.0, requests_per_s=8_100, p50_ms=3.2, p99_ms=6, p999_ms=12.34),
        make_run("nginx", cpu_us=20.0, requests_per_s=24_300, p50_ms=1.5, p99_ms=3, p999_ms=5),
    ]


def test_the_table_has_a_row_for_each_peer(runs: list[Run]) -> None:
    """In the peers' order, with the ratios to nginx beside the figures, to three digits."""
    assert page(runs, {"rounds": 1}).endswith(TABLE)


def test_aims_are_told_apart(runs: list[Run]) -> None:
    """An aim that was measured is reached or missed; one that was not is neither."""
    lines = page(runs, {"rounds": 1}).splitlines()
    (cpu,) = [line for line in lines if "ours to nginx's" in line and "CPU" in line]
    (p99,) = [line for line in lines if "p99 at the same rate" in line]
    assert ["2.5", "at most 1.3", "missed"] == [cell.strip() for cell in cpu.split("|")[2:5]]
    assert ["–", "at most 1.5", ""] == [cell.strip() for cell in p99.split("|")[2:5]]


def test_the_json_has_all(runs: list[Run]) -> None:
    """Conditions, medians, ratios, and each run."""
    content = json.loads(as_json(runs, {"rounds": 1}))
    assert {"rounds": 1} == content["conditions"]
    assert 50 == content["summary"]["small-32"]["ringlab"]["median"]["cpu_us"]
    assert 2.5 == content["summary"]["small-32"]["ringlab"]["ratio_to_nginx"]["cpu_us"]
    assert ["ringlab", "nginx"] == [run["peer"] for run in content["runs"]]
    assert [2.5, None, None, None, None] == [aim["ratio"] for aim in content["aims"]]


def test_the_figure_is_the_same_for_the_same_runs(runs: list[Run], tmp_path: Path) -> None:
    """No date and no random id in it, so that a change of the file is a change of figures."""
    for name in ("once", "again"):
        draw(runs, tmp_path / f"{name}.svg")
    assert (tmp_path / "once.svg").read_bytes() == (tmp_path / "again.svg").read_bytes()
    assert "ringlab" in (tmp_path / "once.svg").read_text()
