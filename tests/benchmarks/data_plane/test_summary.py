"""Medians and paired ratios, worked out by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.data_plane.aims import Aim
from benchmarks.data_plane.summary import Run, medians, paired_ratio


def test_a_figure_is_the_median_over_rounds(make_run: Callable[..., Run]) -> None:
    """One disturbed round does not count; other peers' and cases' runs do neither."""
    runs = [make_run("nginx", round=k, cpu_us=us) for k, us in enumerate([20, 500, 22])]
    runs += [make_run("ringlab", cpu_us=70), make_run("nginx", case="large-32", cpu_us=90)]
    assert 22 == medians(runs, "small-32", "nginx")["cpu_us"]
    assert {} == medians(runs, "upload-32", "nginx")


def test_a_ratio_is_taken_within_a_round(make_run: Callable[..., Run]) -> None:
    """2, 2.5 and 3 times as much: 2.5. The medians' own ratio would be 40 / 20."""
    nginx = [20, 50, 10]
    ours = [40, 125, 30]
    runs = [make_run("nginx", round=k, cpu_us=us) for k, us in enumerate(nginx)]
    runs += [make_run("ringlab", round=k, cpu_us=us) for k, us in enumerate(ours)]
    assert 2.5 == paired_ratio(runs, "small-32", "cpu_us", of="ringlab", to="nginx")


def test_a_round_without_its_pair_has_no_ratio(make_run: Callable[..., Run]) -> None:
    """Never is a run compared with one of another round."""
    runs = [
        make_run("nginx", round=1, cpu_us=20),
        make_run("ringlab", round=1, cpu_us=30),
        make_run("ringlab", round=2, cpu_us=90),
    ]
    assert 1.5 == paired_ratio(runs, "small-32", "cpu_us", of="ringlab", to="nginx")
    assert None is paired_ratio(runs[1:], "small-32", "cpu_us", of="ringlab", to="nginx")


@pytest.mark.parametrize(
    ("bounds", "ratio", "reached"),
    [
        ({"at_most": 1.3}, 1.3, True),
        ({"at_most": 1.3}, 1.31, False),
        ({"at_least": 40}, 40.0, True),
        ({"at_least": 40}, 39.9, False),
    ],
)
def test_an_aim_is_reached_up_to_its_bound(
    bounds: dict[str, float], ratio: float, reached: bool
) -> None:
    """The bound itself is still good."""
    aim = Aim("test", "small-32", "cpu_us", of="ringlab", to="nginx", **bounds)
    assert reached == aim.is_reached(ratio)
