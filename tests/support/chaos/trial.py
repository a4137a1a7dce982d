"""One history on one lab, from a lab that is well to a record that is whole."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence

import aiohttp
from labs import NAMES, Lab

from chaos import census
from chaos.checker import Bounds, expected
from chaos.clients import Clients
from chaos.history import Operation
from chaos.monkey import Monkey
from chaos.observer import EVERY_S, Observer
from chaos.records import Record

RATE_HZ = 100.0
KEYS = random.Random(42).sample(range(100_000, 1_000_000), 60)
COMMAND_TIMEOUT_S = 150.0  # the load balancer's own for the admin API


def begin_anew(lab: Lab) -> None:
    """Other replicas under the old names: the load balancer heals those with a delay that it
    remembers to have died often."""
    lab.reset()
    lab.call("PUT", "/rep", json={"hostnames": []}).raise_for_status()
    lab.reset()


def record_of(lab: Lab, history: Sequence[Operation], bounds: Bounds) -> Record:
    """Performs `history` on `lab` under load; returns when the lab had the time to recover from
    all of it."""
    begin_anew(lab)
    return asyncio.run(_record_of(lab, history, bounds))


async def _record_of(lab: Lab, history: Sequence[Operation], bounds: Bounds) -> Record:
    timeout = aiohttp.ClientTimeout(total=COMMAND_TIMEOUT_S)
    # Each call on a connection of its own: a kept one may have been cut by an earlier kill.
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        clients = Clients("127.0.0.1", lab.port, KEYS, RATE_HZ)
        observer = Observer(lab, session)
        monkey = Monkey(lab, session, observer)
        await observer.begin()
        record = Record(
            time.time(),
            tuple(NAMES),
            clients.answers,
            monkey.deeds,
            observer.looks,
            observer.events,
        )
        stop = asyncio.Event()
        watching = [asyncio.create_task(actor.run(stop)) for actor in (clients, observer)]
        try:
            await monkey.perform(history)
            await _settle(lab, record, bounds)
        finally:
            stop.set()
            await asyncio.gather(*watching)
    return record


async def _settle(lab: Lab, record: Record, bounds: Bounds) -> None:
    """Gives the lab the time that it has to recover, or as much of it as it needs."""
    wanted = sorted(expected(record))
    deadline = time.monotonic() + bounds.recovery_s + bounds.outage_s
    while time.monotonic() < deadline:
        await asyncio.sleep(EVERY_S)
        record.left = await asyncio.to_thread(census.replicas, lab)
        listed = record.looks[-1].listed if record.looks else None
        if record.left == wanted and listed is not None and len(listed) == len(wanted):
            return
