"""The ring library beside uhashring 2.5, the one that Python programs use: lookups one by one and
in bulk, failover lists, building and changing, in interleaved rounds."""

from __future__ import annotations

import argparse
import json
import os
import platform
from pathlib import Path
from statistics import median
from time import perf_counter

from benchmarks.ring.pairs import Task, pairs

RESULTS = Path(__file__).parents[1] / "results"
MIN_S = 0.05  # of one run; a task that is quicker is repeated


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=9, help="default 9")
    parser.add_argument("--quick", action="store_true", help="two rounds, not stored")


def run(options: argparse.Namespace) -> None:
    """Measures, prints, and stores ring.md and ring.json."""
    rounds = 2 if options.quick else options.rounds
    rows = []
    for pair in pairs():
        # Alternately, so that whatever disturbs meets both; the ratio is of neighbours in time.
        runs = [(seconds_of(pair.ours), seconds_of(pair.peers)) for _ in range(rounds)]
        ours, peers = (median(times) for times in zip(*runs, strict=True))
        ratio = median(theirs / own for own, theirs in runs)
        rows.append(
            {"title": pair.title, "ours_s": ours, "peer_s": peers, "ratio": ratio, "aim": pair.aim}
        )
        print(line(rows[-1]), flush=True)
    if not options.quick:
        store(rows, rounds)


def seconds_of(task: Task) -> float:
    """Per unit of the task, over MIN_S at least."""
    done, began = 0, perf_counter()
    while True:
        done += task()
        took = perf_counter() - began
        if took >= MIN_S:
            return took / done


def line(row: dict[str, object]) -> str:
    names = ("ours_s", "peer_s", "ratio", "aim")
    ours, peers, ratio, aim = (float(str(row[name])) for name in names)
    reached = "reached" if ratio >= aim else "missed"
    return (
        f"| {row['title']} | {ours * 1e9:,.3g} | {peers * 1e9:,.4g} | {ratio:,.3g} | {aim:g} | "
        f"{reached} |"
    )


def store(rows: list[dict[str, object]], rounds: int) -> None:
    page = [
        "# The ring library, measured",
        "",
        "Written by `python -m benchmarks ring`, part of `make bench`. What is measured, and how,",
        "tells `benchmarks/README.md`.",
        "",
        f"rounds: {rounds}; Python {platform.python_version()}; {os.cpu_count()} cores, "
        f"{platform.machine()}; load average after: {os.getloadavg()[0]:.1f}.",
        "",
        "| 100 nodes | ours, ns | uhashring 2.5, ns | times as fast | aim | |",
        "|---|---:|---:|---:|---:|---|",
        *map(line, rows),
        "",
    ]
    (RESULTS / "ring.md").write_text("\n".join(page))
    (RESULTS / "ring.json").write_text(json.dumps(rows, indent=1) + "\n")
    print(f"Stored as ring.md and ring.json in {RESULTS}")
