"""The replica's side: keep-alive connections, the pool of them, and the parser of answers."""

from __future__ import annotations

import asyncio
import errno
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import httptools

from load_balancer.health import Evidence
from load_balancer.proxy import wire
from load_balancer.proxy.exchange import Loss
from load_balancer.proxy.flow_control import PEER_SLOW, ReadGate
from load_balancer.routing import Replica

if TYPE_CHECKING:
    from load_balancer.proxy.exchange import Exchange

# Upper bounds of the latency histogram, seconds: Prometheus's default buckets, and one below.
LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
QUEUE_TIMEOUT_S = 5.0  # for a place among the connections of a replica
_SHORTAGE = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}


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

    def answered(self, status: int, latency_s: float) -> None:
        # What is no status at all counts as a server's error: RFC 9110 §15.
        self.answers[status // 100 if status < 600 else 5] += 1
        self.latency_counts[bisect_left(LATENCY_BUCKETS_S, latency_s)] += 1
        self.latency_sum_s += latency_s


class UpstreamConnection(asyncio.Protocol):
    """A connection to a replica. Carries one exchange at a time, and idles in its pool between."""

    def __init__(self, pool: Pool) -> None:
        # For the connection's life
        self.pool = pool
        self._transport: asyncio.Transport
        self._gate: ReadGate
        self._fields = wire.Fields(is_request=False)
        self.on_header = self._fields.add
        self._parser = httptools.HttpResponseParser(self)
        # For one exchange
        self.exchange: Exchange | None = None
        self.deadline = 0.0  # the loop's clock: of the next byte, or of idling
        self._is_full = False  # the replica does not read what we write
        # For one answer
        self._status = 0
        self._out: list[bytes] = []
        self._chunked = False
        self._until_close = False
        self._keep_alive = False
        self._missing = False  # 404, which the contract turns into an error of ours
        self._complete = False
        self._surplus = False

    # What the pool and the exchange ask

    def carry(self, exchange: Exchange) -> None:
        self.exchange = exchange
        exchange.send_to(self)

    def write(self, data: bytes) -> None:
        self.deadline = self.pool.now + self.pool.response_timeout_s
        self._transport.write(data)

    def abandon(self) -> None:
        """Its exchange wants no more of it; with an answer half read it is of no further use."""
        self.exchange = None
        self._transport.abort()

    def close(self) -> None:
        """At once: what is left of a request would wait for ever for a replica that reads not."""
        self._transport.abort()

    def lose(self, loss: Loss) -> None:
        """Gives up the exchange, which may go elsewhere, and the connection."""
        exchange, self.exchange = self.exchange, None
        self._transport.abort()
        self.pool.forget(self)
        if exchange is not None:
            self.pool.lost(exchange, loss)

    def pause(self) -> None:
        self._gate.close(PEER_SLOW)

    def resume(self) -> None:
        self._gate.open(PEER_SLOW)

    @property
    def is_usable(self) -> bool:
        return not self._transport.is_closing()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._gate = ReadGate(transport)

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:  # RFC 9112 §9.2: nobody has asked for this
            self._transport.abort()
            return
        self.deadline = self.pool.now + self.pool.response_timeout_s
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._surplus = True  # behind a whole answer; else the answer itself is broken
            if not self._complete:
                self._flush(exchange)
                self.lose(Loss.MALFORMED)
                return
        self._flush(exchange)
        if self._complete:
            self._end(exchange)

    def eof_received(self) -> None:
        if self._until_close and self.exchange is not None:
            self._out.append(wire.LAST_CHUNK if self._chunked else b"")
            self._flush(self.exchange)
            self._surplus = True
            self._end(self.exchange)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.exchange is None:
            self.pool.closed_while_idle(self)
        else:
            self.lose(Loss.RESET)

    def pause_writing(self) -> None:
        self._is_full = True
        if self.exchange is not None:
            self.exchange.client.gate.close(PEER_SLOW)

    def resume_writing(self) -> None:
        self._is_full = False
        if self.exchange is not None:
            self.exchange.client.gate.open(PEER_SLOW)

    # httptools

    def on_message_begin(self) -> None:
        if self._complete:
            self._surplus = True
        self._fields.begin()

    def on_headers_complete(self) -> None:
        exchange = self.exchange
        if self._complete or exchange is None:
            self._surplus = True
            return
        status = self._parser.get_status_code()
        head = self._fields.seal()
        if status < 200:
            self._interim(exchange, status, head)
            return
        self._status = status
        # Asked now, for llhttp forgets the fields once the message is over.
        self._keep_alive = self._parser.should_keep_alive()
        length, chunked = head.content_length(), head.is_chunked()
        if chunked or status == 204:
            length = None  # RFC 9112 §6.3: Transfer-Encoding overrides; RFC 9110 §8.6: no length
        body = wire.has_body(exchange.method, status)
        self._until_close = body and length is None and not chunked
        self._missing = status == 404 and self.pool.replica is not None
        if not self._missing:
            first, self._chunked = exchange.answer_head(status, head.lines, length)
            self._out.append(first)
        if not body:
            self._complete = True
            # llhttp does not know what was asked: after HEAD it would wait for a body.
            self._surplus = self._surplus or (exchange.method == b"HEAD" and length != 0)

    def on_body(self, data: bytes) -> None:
        if self._complete:
            self._surplus = True
        elif not self._missing:
            self._out.append(wire.chunk(data) if self._chunked else data)

    def on_message_complete(self) -> None:
        if self._status and not self._complete:
            self._complete = True
            if self._chunked and not self._missing:
                self._out.append(wire.LAST_CHUNK)

    # Within

    def _interim(self, exchange: Exchange, status: int, head: wire.Head) -> None:
        """1xx: RFC 9110 §15.2. 100 was already given by us, and 101 nobody has asked for."""
        if status == 101 or status < 100:
            raise wire.Refused(502, f"{status} is no interim answer to what was asked")
        if status != 100 and not exchange.http10:
            self._out += (wire.status_line(status), *head.lines, b"\r\n")

    def _flush(self, exchange: Exchange) -> None:
        if self._out:
            exchange.client.write(b"".join(self._out))
            self._out.clear()

    def _end(self, exchange: Exchange) -> None:
        """The answer is whole: first the connection becomes free, then the client hears of it,
        who may have its next request ready."""
        status, missing = self._status, self._missing
        reusable = (
            not self._surplus
            and not self._until_close
            and exchange.request_complete
            and not self._is_full
            and self._keep_alive
        )
        if self._is_full:
            exchange.client.gate.open(PEER_SLOW)
        self.exchange = exchange.upstream = None
        self._status = 0
        self._complete = self._until_close = self._missing = self._chunked = False
        self.resume()
        self.pool.stats.answered(status, perf_counter() - exchange.started_at)
        self.pool.release(self, reusable=reusable)
        if missing:
            path = exchange.path.decode("latin-1")
            exchange.fail(400, f"'{path}' endpoint does not exist in server replicas")
        else:
            exchange.end()


class Pool:
    """The connections to one replica (or, with a path, to the admin API)."""

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        replica: Replica | None,
        path: Path | None = None,
        stats: Stats,
        size: int,
        connect_timeout_s: float,
        response_timeout_s: float,
        idle_s: float,
        on_evidence: Callable[[Replica, Evidence | None], None],
    ) -> None:
        self.loop = loop
        self.replica = replica
        self.path = path
        self.name = replica.hostname if replica else "the admin API"
        self.stats = stats
        self.response_timeout_s = response_timeout_s
        self._size = size
        self._connect_timeout_s = connect_timeout_s
        self._idle_s = idle_s
        self._on_evidence = on_evidence
        self.now = loop.time()  # as of the last sweep; exact enough for deadlines
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
            if connection.is_usable:
                connection.carry(exchange)
                return
        if len(self._all) + len(self._connecting) >= self._size:
            self._queue.append(exchange)
            return
        task = self.loop.create_task(self._connect(exchange))
        self._connecting[task] = exchange

    def release(self, connection: UpstreamConnection, *, reusable: bool) -> None:
        """The connection's exchange is over."""
        if not reusable or self._drained is not None:
            self._all.discard(connection)
            connection.close()
        else:
            connection.deadline = self.now + self._idle_s
            self._idle.append(connection)
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

    def lost(self, exchange: Exchange, loss: Loss) -> None:
        self.stats.losses += 1
        if self.replica is not None and loss in (Loss.REFUSED, Loss.RESET):
            self._on_evidence(self.replica, Evidence.REFUSED)
        exchange.lost(self, loss)

    async def _connect(self, exchange: Exchange) -> None:
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                connection = await self._open()
        except (OSError, TimeoutError) as error:
            shortage = getattr(error, "errno", None) in _SHORTAGE
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
        if self.replica is None:
            _, connection = await self.loop.create_unix_connection(
                lambda: UpstreamConnection(self), str(self.path)
            )
        else:
            host, port = self.replica.address
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
        if self._is_cut:
            return
        while self._queue and self._queue[0].done:
            self._queue.popleft()
        if self._queue and (self._idle or len(self._all) + len(self._connecting) < self._size):
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
        for connection in list(self._idle):
            self.forget(connection)
            connection.close()
        self._next()
        try:
            await asyncio.wait_for(self._drained, timeout_s)
        except TimeoutError:
            self.cut()

    def cut(self) -> None:
        """All connections end now, and no more are made; exchanges fail over if they may."""
        self._is_cut = True
        self.give_up_connecting()
        for connection in list(self._all):
            if connection.exchange is not None:
                connection.lose(Loss.RESET)
            else:
                self.forget(connection)
                connection.close()

    def sweep(self, now: float) -> None:
        """Ends what has been silent or idle for too long; called a few times a second."""
        self.now = now
        for connection in list(self._all):
            if connection.deadline > now:
                continue
            if connection.exchange is None:
                self.forget(connection)
                connection.close()
            else:
                connection.lose(Loss.TIMED_OUT)
        while self._queue and perf_counter() > self._queue[0].started_at + QUEUE_TIMEOUT_S:
            self._queue.popleft().lost(self, Loss.EXHAUSTED)
