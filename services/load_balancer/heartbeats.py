"""Heartbeats: asks each replica at a fixed rate, and tells membership what came of it.

Each heartbeat has a connection of its own, so it never waits behind traffic, and it proves that
the replica still accepts. They are sent by the clock, not one after the other: with an interval
of 0.25 s and a timeout of 1 s, two misses in a row take 1.25 s and not 2.25 s.

Each names whom it looks for: an engine gives the address of a container that has ended to the next
one, which would answer for the dead.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from load_balancer.errors import OWN_SHORTAGE
from load_balancer.health import Evidence, State
from load_balancer.membership import Member, Membership
from load_balancer.routing import Replica, RoutingTable
from load_balancer.settings import Settings

T = TypeVar("T")

STARTING_INTERVAL_S = 0.05  # a replica that starts is waited for by somebody
# Added to every timeout. When our own loop has stood still, a timer runs out before what came
# meanwhile is looked at; in this time it is.
GRACE_S = 0.05
MISDIRECTED = 421  # RFC 9110 §15.5.20
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])")


class Heartbeats:
    """Watches every replica that membership starts, until its life is over."""

    def __init__(self, membership: Membership, settings: Settings) -> None:
        self._membership = membership
        self._settings = settings
        self._wake: dict[Replica, asyncio.Event] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # Observer

    def replica_started(self, member: Member, replica: Replica) -> None:
        self._wake[replica] = asyncio.Event()
        self._spawn(self._watch(member, replica))

    def replica_suspected(self, replica: Replica) -> None:
        self.ask_now(replica)

    def replica_died(self, member: Member, replica: Replica) -> None: ...

    def table_published(self, table: RoutingTable) -> None: ...

    # Asking

    def ask_now(self, replica: Replica) -> None:
        """A heartbeat at once, in place of the next one that the clock would send."""
        if replica in self._wake:
            self._wake[replica].set()

    async def _watch(self, member: Member, replica: Replica) -> None:
        wake = self._wake[replica]
        while self._membership.is_current(member, replica):
            wake.clear()
            self._spawn(self._ask(replica))
            starting = member.health.state is State.STARTING
            interval_s = STARTING_INTERVAL_S if starting else self._settings.heartbeat_interval_s
            # Not wait_for: up to Python 3.11 it forgets a cancellation that comes with the wake.
            with suppress(TimeoutError):
                async with asyncio.timeout(interval_s):
                    await wake.wait()
        del self._wake[replica]

    async def _ask(self, replica: Replica) -> None:
        asked_at = asyncio.get_running_loop().time()
        evidence = await self._evidence(replica)
        if evidence is not None:
            self._membership.learn(replica, evidence, asked_at=asked_at)

    async def _evidence(self, replica: Replica) -> Evidence | None:
        """What one heartbeat says of the replica, None if it says more of ourselves."""
        try:
            reader, writer = await _within(
                # The kernel of a living peer opens connections by itself, however busy the process
                # is: this one is not worth waiting for as long as an answer.
                self._settings.heartbeat_connect_timeout_s,
                asyncio.open_connection(*replica.address),
            )
            try:
                writer.write(self._request(replica))
                answer = await _within(self._settings.heartbeat_timeout_s, reader.readline())
            finally:
                writer.close()
        except TimeoutError:
            return Evidence.MISSED
        except OSError as error:
            return None if error.errno in OWN_SHORTAGE else Evidence.REFUSED
        except ValueError:
            return Evidence.MISSED  # a line without end
        if not answer:
            return Evidence.REFUSED  # hung up
        status = _STATUS.match(answer)
        if status and int(status[1]) == MISDIRECTED:
            return Evidence.REFUSED  # ours has ended, and another got its address
        return Evidence.ANSWERED if status and int(status[1]) < 500 else Evidence.MISSED

    def _request(self, replica: Replica) -> bytes:
        host, port = replica.address
        return (
            f"GET {self._settings.heartbeat_path} HTTP/1.1\r\nHost: {host}:{port}\r\n"
            f"X-Replica: {replica.hostname}\r\n"
            "User-Agent: ringlab-heartbeat\r\nConnection: close\r\n\r\n"
        ).encode()

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _within(timeout_s: float, coroutine: Coroutine[Any, Any, T]) -> T:
    """What the coroutine returns or raises; TimeoutError if that takes longer, GRACE_S included."""
    task = asyncio.ensure_future(coroutine)
    try:
        for time_s in (timeout_s, GRACE_S):
            if (await asyncio.wait({task}, timeout=time_s))[0]:
                return task.result()
        raise TimeoutError
    finally:
        task.cancel()
