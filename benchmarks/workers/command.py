"""Throughput of ours with two workers beside one, each with the same share of a core, so that load
and origin have cores to run on. Prints, and stores nothing."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.data_plane import commands, load
from benchmarks.data_plane.cases import Case
from benchmarks.data_plane.peers import origin
from benchmarks.data_plane.processes import Process, free_ports, running
from benchmarks.errors import BenchmarkError, NotStarted
from benchmarks.workers.quota import limited

NUMBERS = (1, 2)
CASE = Case("small-64", "small answers, 64 connections", "/home", 64)
AIM = 1.6
START_S = 15.0
# A worker that has used less of its share was not what held the others up.
USED_AT_LEAST = 0.9


@dataclass(frozen=True)
class Run:
    """cores: what all its processes have used. idle: cores that nobody has used meanwhile."""

    workers: int
    requests_per_s: float
    cpu_us: float
    cores: float
    idle: float


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=5, help="default 5")
    parser.add_argument("--seconds", type=int, default=3, help="of each run; default 3")
    parser.add_argument(
        "--cores", type=float, default=0.4, help="a worker's share; default 0.4; 0: no quota"
    )


def run(options: argparse.Namespace) -> None:
    """Measures in interleaved rounds, and prints runs and ratio."""
    commands.ensure(["wrk", "haproxy"])
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmarks-")))
        ports = stack.enter_context(origin(folder))
        peers = {
            number: stack.enter_context(balancer(number, ports, folder, options.cores))
            for number in NUMBERS
        }
        rounds = []
        for _ in range(options.rounds):
            rounds.append([measured(n, *peers[n], options.seconds) for n in NUMBERS])
            for each in rounds[-1]:
                print(line(each), flush=True)
    print(verdict(rounds, options.cores))


@contextmanager
def balancer(
    workers: int, replica_ports: Sequence[int], folder: Path, cores: float
) -> Iterator[tuple[Process, int]]:
    """With so many workers, each limited to `cores`; and its port."""
    (port,) = free_ports(1)
    log = folder / f"workers-{workers}.log"
    replicas = enumerate(replica_ports, start=1)
    command = [
        *(sys.executable, "-m", "load_balancer", f"--bind=127.0.0.1:{port}"),
        f"--workers={workers}",
        *(f"--replica=Server{number}=127.0.0.1:{at}" for number, at in replicas),
    ]
    with running(command, port=port, log=log) as process, ExitStack() as stack:
        deadline = time.monotonic() + START_S
        while log.read_text().count("serving on") < workers:
            if time.monotonic() > deadline:
                raise NotStarted(f"not all of {workers} workers serve:\n{log.read_text()}")
            time.sleep(0.05)
        for pid in process.pids() if cores else []:
            stack.enter_context(limited(pid, cores))
        yield process, port


def measured(workers: int, process: Process, port: int, seconds: int) -> Run:
    process.wait_until_idle()
    before_s, idle_before_s, began = process.cpu_s(), idle_s(), time.monotonic()
    result = load.send(CASE, port, seconds)
    took_s = time.monotonic() - began
    cpu_s = process.cpu_s() - before_s
    return Run(
        workers,
        result.requests / result.duration_s,
        cpu_s / result.requests * 1e6,
        cpu_s / took_s,
        (idle_s() - idle_before_s) / took_s,
    )


def idle_s() -> float:
    """Seconds that the machine's cores have idled, all together; proc(5)."""
    return float(Path("/proc/uptime").read_text().split()[1])


def line(run: Run) -> str:
    return (
        f"{run.workers} of our data planes: {run.requests_per_s:8,.0f} requests/s,"
        f" {run.cpu_us:5.1f} µs CPU per request; {run.cores:.2f} cores used, {run.idle:.2f} idle"
    )


def verdict(rounds: Sequence[Sequence[Run]], cores: float) -> str:
    """The median over rounds of two workers' throughput by one's. BenchmarkError if it was not the
    workers that bounded it."""
    for each in (each for both in rounds for each in both):
        if cores and each.cores < USED_AT_LEAST * cores * each.workers:
            raise BenchmarkError(
                f"{each.workers} workers used {each.cores:.2f} cores of"
                f" {cores * each.workers:.2f}: something else bounded them, a smaller --cores"
                " leaves it more"
            )
    ratio = median(two.requests_per_s / one.requests_per_s for one, two in rounds)
    cost = median(two.cpu_us / one.cpu_us for one, two in rounds)
    reached = "reached" if ratio >= AIM else "missed"
    return (
        f"two workers to one: {ratio:.2f} of the requests/s (aim: at least {AIM}, {reached}),"
        f" {cost:.2f} of the CPU per request"
    )
