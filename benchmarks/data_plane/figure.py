"""The figure for the README: what a request costs, and how long the slowest hundredth waits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from benchmarks.data_plane.cases import CASES
from benchmarks.data_plane.peers import COMMANDS, VARIANTS, can_do
from benchmarks.data_plane.summary import Run, medians

# Okabe and Ito's colours, which colour-blind readers tell apart.
PEERS = [name for name in COMMANDS if name not in VARIANTS]
COLOURS = dict(zip(PEERS, ("#009e73", "#56b4e9", "#d55e00", "#999999"), strict=True))
GROUPS = {"small-32": "small answers", "large-32": "64 KiB answers", "upload-32": "64 KiB uploads"}
PACED = "paced-32"


def draw(runs: Sequence[Run], path: Path) -> None:
    """Writes an SVG, the same one for the same runs. A case that was not run leaves a gap."""
    with mpl.rc_context({"svg.hashsalt": "ringlab", "font.size": 9, "svg.fonttype": "none"}):
        figure = Figure(figsize=(9, 3.2), layout="constrained")
        cost, wait = figure.subplots(1, 2, width_ratios=(3, 1.4))
        _cost(cost, runs)
        _wait(wait, runs)
        figure.legend(
            *cost.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False
        )
        figure.savefig(path, metadata={"Date": None})


def _cost(axes: Axes, runs: Sequence[Run]) -> None:
    axes.set(yscale="log", ylim=(1, 10_000))
    for index, peer in enumerate(PEERS):
        heights = [medians(runs, case, peer).get("cpu_us", 0) for case in GROUPS]
        places = [group + (index - 1.5) * 0.21 for group in range(len(GROUPS))]
        bars = axes.bar(places, heights, 0.2, color=COLOURS[peer], label=peer)
        axes.bar_label(bars, [f"{height:,.0f}" if height else "" for height in heights], padding=1)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xticks(range(len(GROUPS)), list(GROUPS.values()))
    _entitle(axes, "CPU time per request, µs (logarithmic scale), 32 connections")


def _wait(axes: Axes, runs: Sequence[Run]) -> None:
    values = {peer: medians(runs, PACED, peer).get("p99_ms", 0) for peer in PEERS}
    bars = axes.bar(range(len(values)), list(values.values()), 0.7, color=list(COLOURS.values()))
    labels = [
        f"{value:.2f}" if value else "" if can_do(peer, CASES[PACED]) else "cannot"
        for peer, value in values.items()
    ]
    axes.bar_label(bars, labels, padding=1)
    axes.set_xticks([])
    axes.set_ylim(bottom=0)
    _entitle(axes, f"p99, ms, at {CASES[PACED].rate_hz:,} requests/s")


def _entitle(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=9, pad=14)
    axes.spines[["top", "right"]].set_visible(False)
