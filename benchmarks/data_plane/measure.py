"""Rounds: in each, for each case, each peer in turn, so that what disturbs the machine for a while
disturbs all of them, and ratios within a round stay."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.data_plane import load, paced
from benchmarks.data_plane.cases import Case
from benchmarks.data_plane.check import check
from benchmarks.data_plane.peers import Peer, can_do, origin, peer
from benchmarks.data_plane.summary import Run
from benchmarks.errors import WrongAnswer


def measure(
    cases: Sequence[Case],
    names: Iterable[str],
    *,
    rounds: int,
    seconds: int,
    tell: Callable[[str], None] = print,
) -> list[Run]:
    """All runs, in their order. Starts the peers, checks each, and stops them however it ends."""
    runs: list[Run] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmarks-")))
        ports = stack.enter_context(origin(folder))
        peers = [stack.enter_context(peer(name, ports, folder)) for name in names]
        for each in peers:
            check(each)
        for number in range(1, rounds + 1):
            for case in cases:
                tell(f"round {number} of {rounds}: {case.title}")
                able = [each for each in peers if can_do(each.name, case)]
                runs += [run(each, case, number, seconds) for each in able]
    return runs


def run(peer: Peer, case: Case, number: int, seconds: int) -> Run:
    """One run. Requests still on their way at its end have cost CPU and are not counted: at most
    one per connection."""
    peer.process.wait_until_idle()
    before_s = peer.process.cpu_s()
    try:
        send = paced.send if case.rate_hz else load.send
        result = send(case, peer.port, seconds)
    except WrongAnswer as error:
        raise WrongAnswer(f"{peer.name}, {case.title}: {error}") from error
    cpu_s = peer.process.cpu_s() - before_s
    return Run(
        round=number,
        case=case.name,
        peer=peer.name,
        requests=result.requests,
        cpu_us=cpu_s / result.requests * 1e6,
        requests_per_s=result.requests / result.duration_s,
        p50_ms=result.p50_ms,
        p99_ms=result.p99_ms,
        p999_ms=result.p999_ms,
    )
