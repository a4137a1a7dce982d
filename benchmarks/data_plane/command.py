"""The data plane beside nginx, HAProxy and a student's balancer: CPU time per request, requests/s
and latency in front of one fast origin, in interleaved rounds."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Sequence
from pathlib import Path

from benchmarks.data_plane import commands, report
from benchmarks.data_plane.cases import CASES
from benchmarks.data_plane.measure import measure
from benchmarks.data_plane.peers import COMMANDS as PEERS
from benchmarks.data_plane.summary import Run
from benchmarks.errors import BenchmarkError

RESULTS = Path(__file__).parents[1] / "results"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=_positive, help="default 5")
    parser.add_argument("--seconds", type=_positive, help="of each run; default 2")
    parser.add_argument("--quick", action="store_true", help="one round of one second, not stored")
    parser.add_argument(
        "--only",
        action="append",
        metavar="NAME",
        help=f"one case or peer, repeatable, not stored: {', '.join([*CASES, *PEERS])}",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FOLDER", help="store there; default benchmarks/results"
    )


def run(options: argparse.Namespace) -> None:
    """Measures, prints, and stores what is a whole measurement, or has a folder to go to."""
    commands.ensure()
    cases, peers = chosen(options.only or [])
    rounds = options.rounds or (1 if options.quick else 5)
    seconds = options.seconds or (1 if options.quick else 2)
    conditions = {"rounds": rounds, "seconds per run": seconds} | machine()
    runs = measure(
        [CASES[name] for name in cases], peers, rounds=rounds, seconds=seconds, tell=_tell
    )
    print("\n" + report.page(runs, conditions))
    whole = not (options.quick or options.only)
    if folder := options.output or (RESULTS if whole else None):
        store(runs, conditions, folder)


def store(runs: Sequence[Run], conditions: dict[str, object], folder: Path) -> None:
    """Writes data-plane.md, .json and .svg."""
    from benchmarks.data_plane.figure import draw  # matplotlib takes a second

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "data-plane.md").write_text(report.page(runs, conditions))
    (folder / "data-plane.json").write_text(report.as_json(runs, conditions))
    draw(runs, folder / "data-plane.svg")
    print(f"Stored as data-plane.md, .json and .svg in {folder}")


def chosen(only: Sequence[str]) -> tuple[list[str], list[str]]:
    """Cases and peers of these names, in their usual order; all of a kind if none is named."""
    if unknown := set(only) - set(CASES) - set(PEERS):
        names = ", ".join([*CASES, *PEERS])
        raise BenchmarkError(f"--only must be one of {names}, got {', '.join(sorted(unknown))}")
    cases = [name for name in CASES if name in only] or list(CASES)
    peers = [name for name in PEERS if name in only] or list(PEERS)
    return cases, peers


def machine() -> dict[str, object]:
    """What figures depend on, beside the code; the load is that of others, before we begin."""
    versions = ", ".join(f"{name} {version}" for name, version in commands.versions().items())
    linux = ".".join(platform.release().split(".")[:2])
    return {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Linux {linux}",
        "load average before": round(os.getloadavg()[0], 1),
        "versions": f"Python {platform.python_version()}, {versions}",
    }


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be >= 1, got {value}")
    return value


def _tell(line: str) -> None:
    print(line, flush=True)
