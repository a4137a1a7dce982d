"""Heartbeats: asks each replica at a fixed rate, and tells membership what came of it.

Each heartbeat has a connection of its own, so it never waits behind traffic, and it proves that
the replica still accepts. They are sent by the clock, not one after the other: with an interval
of 0.25 s and a timeout of 1 s, two misses in a row take 1.25 s and not 2.25 s.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import aiohttp

from load_balancer.health import Evidence, State
from load_balancer.membership import Member, Membership
from load_balancer.routing import Replica, RoutingTable
from load_balancer.settings import Settings

STARTING_INTERVAL_S = 0.05  # a replica that starts is waited for by somebody
# Later than its timeout by this much, a timer tells of our own pause, not of the replica: what
# came meanwhile has not been looked at yet.
OWN_PAUSE_S = 0.05
# Our own shortage says nothing about the replica.
OWN_ERRORS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}


class Heartbeats:
    """Watches every replica that membership starts, until its life is over."""

    def __init__(self, membership: Membership, settings: Settings) -> None:
        self._membership = membership
        self._settings = settings
        self._wake: dict[Replica, asyncio.Event] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True, limit=0),
            timeout=aiohttp.ClientTimeout(
                total=settings.heartbeat_timeout_s,
                sock_connect=settings.heartbeat_connect_timeout_s,
            ),
            skip_auto_headers=["Accept", "Accept-Encoding"],
            headers={"User-Agent": "ringlab-heartbeat"},
        )

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._session.close()

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
        while self._is_current(member, replica):
            wake.clear()
            self._spawn(self._ask(replica))
            starting = member.health.state is State.STARTING
            interval_s = STARTING_INTERVAL_S if starting else self._settings.heartbeat_interval_s
            with suppress(TimeoutError):
                await asyncio.wait_for(wake.wait(), interval_s)
        del self._wake[replica]

    def _is_current(self, member: Member, replica: Replica) -> bool:
        return (
            member.replica is replica and self._membership.members.get(replica.hostname) is member
        )

    async def _ask(self, replica: Replica) -> None:
        asked_at = asyncio.get_running_loop().time()
        evidence = await self._evidence(replica, asked_at)
        if evidence is not None:
            self._membership.learn(replica, evidence, asked_at=asked_at)

    async def _evidence(self, replica: Replica, asked_at: float) -> Evidence | None:
        host, port = replica.address
        host = f"[{host}]" if ":" in host else host
        try:
            url = f"http://{host}:{port}{self._settings.heartbeat_path}"
            async with self._session.get(url, allow_redirects=False) as response:
                await response.read()
                return Evidence.ANSWERED if response.status < 500 else Evidence.MISSED
        except aiohttp.ConnectionTimeoutError:
            # The kernel of a living peer opens connections by itself, however busy or frozen the
            # process is: nobody is there.
            timeout_s, evidence = self._settings.heartbeat_connect_timeout_s, Evidence.REFUSED
        except TimeoutError:
            timeout_s, evidence = self._settings.heartbeat_timeout_s, Evidence.MISSED
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            return None if getattr(error, "errno", None) in OWN_ERRORS else Evidence.REFUSED
        except aiohttp.ClientError:
            return Evidence.MISSED  # something answers, and it is no HTTP
        took_s = asyncio.get_running_loop().time() - asked_at
        return None if took_s > timeout_s + OWN_PAUSE_S else evidence

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
