"""The connections to one replica: which are free, who waits for one, and what they have counted."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from load_balancer.errors import OWN_SHORTAGE
from load_balancer.health import Evidence
from load_balancer.proxy.exchange import STATUS, Loss
from load_balancer.proxy.head import Limits
from load_balancer.proxy.upstream import UpstreamConnection
from load_balancer.routing import Replica
from load_balancer.settings import Address, Settings

if TYPE_CHECKING:
    from load_balancer.messages import Counters
    from load_balancer.proxy.access_log import AccessLog
    from load_balancer.proxy.exchange import Exchange

# Upper bounds of the latency histogram, seconds: Prometheus's default buckets, and one below.
LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Stats:
    """Counts of one replica, over all its lives; plain numbers, for they are on every request's
    way, and only read when somebody asks for `/metrics`."""

    __slots__ = ("answers", "latency_counts", "latency_sum_s", "losses", "retries")

    def __init__(self) -> None:
        self.answers = [0] * 6  # by the first digit of the status
        self.latency_counts = [0] * (len(LATENCY_BUCKETS_S) + 1)
        self.latency_sum_s = 0.0
        self.losses = 0
        self.retries = 0

    @property
    def num_answers(self) -> int:
        return sum(self.answers)

    def answered(self, status: int, latency_s: float) -> None:
        # What is no status at all counts as a server's error: RFC 9110 §15.
        self.answers[status // 100 if status < 600 else 5] += 1
        self.latency_counts[bisect_left(LATENCY_BUCKETS_S, latency_s)] += 1
        self.latency_sum_s += latency_s

    def add(self, other: Stats | Counters) -> None:
        """What another data plane has counted."""
        for own, more in (
            (self.answers, other.answers),
            (self.latency_counts, other.latency_counts),
        ):
            own[:] = [count + added for count, added in zip(own, more, strict=True)]
        self.latency_sum_s += other.latency_sum_s
        self.losses += other.losses
        self.retries += other.retries


class Pool:
    """The connections to one replica, which is there; or, without one, to the admin API."""

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        replica: Replica | None,
        at: Path | Address,
        stats: Stats,
        access_log: AccessLog | None,
        size: int,
        response_timeout_s: float,
        settings: Settings,
        speaks_contract: bool,
        limits: Limits,
        on_evidence: Callable[[Replica, Evidence | None], None],
        on_answer: Callable[[Replica, int], None],
    ) -> None:
        self.loop = loop
        self.replica = replica
        self.at = at
        self.name = replica.hostname if replica else "the admin API"
        self.replica_line = f"X-Replica: {replica.hostname}\r\n".encode() if replica else b""
        self.stats = stats
        self.access_log = access_log
        self.has_failed = False  # the last time
        self.limits = limits
        self.tunnel_timeout_s = settings.tunnel_timeout_s
        # The assignment's replicas have few paths; servers of somebody's own answer as they like.
        self.speaks_contract = replica is not None and speaks_contract
        self._size = size
        self._settings = settings
        self._response_timeout_s = response_timeout_s
        self._on_evidence = on_evidence
        self._on_answer = on_answer
        # As of the last sweep; exact enough for deadlines.
        self.now = loop.time()
        self.response_deadline = self.now + response_timeout_s
        self._idle_deadline = self.now + settings.pool_idle_s
        self._idle: list[UpstreamConnection] = []
        self._all: set[UpstreamConnection] = set()
        self._connecting: dict[asyncio.Task[None], Exchange] = {}
        self._queue: deque[Exchange] = deque()
        self._drained: asyncio.Future[None] | None = None
        self._is_cut = False

    @property
    def in_flight(self) -> int:
        """Exchanges that have a connection, get one, or wait for one."""
        return len(self._all) - len(self._idle) + len(self._connecting) + len(self._queue)

    # Connections for exchanges

    def acquire(self, exchange: Exchange) -> None:
        """Calls `exchange.send_to` with a connection, now or later, or `exchange.lost`."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closing():
                connection.carry(exchange)
                return
        if not self._has_room():
            if len(self._queue) < self._settings.max_queue:
                self._queue.append(exchange)
            else:
                self.lost(exchange, Loss.EXHAUSTED)
            return
        task = self.loop.create_task(self._connect(exchange))
        self._connecting[task] = exchange

    def _has_room(self) -> bool:
        """Whether one more connection may be opened. A request whose body is still coming is no
        work for the replica yet, and slow clients must not use up what others need."""
        num_open = len(self._all) + len(self._connecting)
        if num_open < self._size:
            return True
        carried = (connection.exchange for connection in self._all)
        num_uploads = sum(
            exchange is not None and not exchange.request_complete
            for exchange in (*carried, *self._connecting.values())
        )
        return num_open - min(num_uploads, self._settings.pool_uploads) < self._size

    def release(self, connection: UpstreamConnection, *, reusable: bool) -> None:
        """The connection's exchange is over."""
        if reusable and self._drained is None:
            connection.deadline = self._idle_deadline
            connection.has_idled = True
            self._idle.append(connection)
        else:
            self._all.discard(connection)
            connection.close()
        if self._queue or self._drained is not None:
            self._next()

    def forget(self, connection: UpstreamConnection) -> None:
        """The connection is gone."""
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._next()

    def closed_while_idle(self, connection: UpstreamConnection) -> None:
        """By us, when it had idled for long; by the replica, which may then have crashed."""
        closed_by_peer = connection in self._idle
        self.forget(connection)
        if closed_by_peer and self.replica is not None:
            self._on_evidence(self.replica, None)

    def answered(self, status: int, latency_s: float) -> None:
        self.stats.answered(status, latency_s)
        self._judge(status)

    def lost(self, exchange: Exchange, loss: Loss) -> None:
        self.stats.losses += 1
        if loss is Loss.TIMED_OUT:
            self._judge(504)
        if loss is Loss.STALE:
            self.close_idle()  # what happened to one will have happened to all
        if self.replica is not None and loss in (Loss.REFUSED, Loss.RESET, Loss.STALE):
            self._on_evidence(self.replica, Evidence.REFUSED)
        exchange.lost(self, loss)

    def failure(self, loss: Loss) -> tuple[int, str]:
        """What a client is told whose request was lost here: status and message."""
        return STATUS.get(loss, 502), f"{self.name} {loss.value}"

    def _judge(self, status: int) -> None:
        if self.replica is not None:
            self.has_failed = status >= 500
            self._on_answer(self.replica, status)

    async def _connect(self, exchange: Exchange) -> None:
        try:
            async with asyncio.timeout(self._settings.connect_timeout_s):
                connection = await self._open()
        except (OSError, TimeoutError) as error:
            shortage = getattr(error, "errno", None) in OWN_SHORTAGE
            self._connecting_done()
            self.lost(exchange, Loss.EXHAUSTED if shortage else Loss.REFUSED)
            self._next()
            return
        self._connecting_done()
        self._all.add(connection)
        if exchange.done:  # its client left meanwhile
            self.release(connection, reusable=True)
        else:
            connection.carry(exchange)

    async def _open(self) -> UpstreamConnection:
        if isinstance(self.at, Path):
            _, connection = await self.loop.create_unix_connection(
                lambda: UpstreamConnection(self), str(self.at)
            )
        else:
            host, port = self.at
            _, connection = await self.loop.create_connection(
                lambda: UpstreamConnection(self), host, port
            )
        return connection

    def _connecting_done(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connecting.pop(task, None)

    def _next(self) -> None:
        """A connection is free, or there is room for one: who waits gets it."""
        while self._queue and self._queue[0].done:
            self._queue.popleft()
        if self._queue and not self._is_cut and (self._idle or self._has_room()):
            self.acquire(self._queue.popleft())
        if self._drained is not None and not self._drained.done() and not self.in_flight:
            self._drained.set_result(None)

    # The replica's end, and the clock

    def give_up_connecting(self) -> None:
        """Who waits for a connection waits no longer; it fails over."""
        while self._connecting:
            task, exchange = self._connecting.popitem()
            task.cancel()
            self.lost(exchange, Loss.REFUSED)
        while self._queue:
            self.lost(self._queue.popleft(), Loss.REFUSED)
        self._next()

    async def drain(self, timeout_s: float) -> None:
        """Returns when nothing is in flight; cuts what still is after `timeout_s`."""
        self._drained = self.loop.create_future()
        self.close_idle()
        self._next()
        try:
            async with asyncio.timeout(timeout_s):
                await self._drained
        except TimeoutError:
            self.cut()

    def close_idle(self) -> None:
        for connection in list(self._idle):
            self.forget(connection)
            connection.close()

    def cut(self) -> None:
        """All connections end now, and no more are made; exchanges fail over if they may."""
        self._is_cut = True
        self.give_up_connecting()
        for connection in list(self._all):
            if connection.exchange is not None:
                connection.lose(Loss.CUT)
            else:
                self.forget(connection)
                connection.close()

    def sweep(self, now: float) -> None:
        """Ends what has been silent or idle for too long; called a few times a second."""
        self.now = now
        self.response_deadline = now + self._response_timeout_s
        self._idle_deadline = now + self._settings.pool_idle_s
        for connection in list(self._all):
            connection.release_head()
            if connection.deadline > now:
                continue
            if connection.exchange is None:
                self.forget(connection)
                connection.close()
            else:
                connection.lose(Loss.TIMED_OUT)
        patience_s = self._settings.queue_timeout_s
        while self._queue and perf_counter() > self._queue[0].started_at + patience_s:
            self._queue.popleft().lost(self, Loss.EXHAUSTED)
