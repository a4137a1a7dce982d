"""The replica's side: one keep-alive connection, and the parser of its answers."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING

import httptools

from load_balancer.proxy import wire
from load_balancer.proxy.exchange import Loss
from load_balancer.proxy.flow_control import PEER_SLOW, ReadGate

if TYPE_CHECKING:
    from load_balancer.proxy.exchange import Exchange
    from load_balancer.proxy.pool import Pool


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
        # Its head waits for its body's first bytes: till they go on, another replica may answer.
        self._is_held = False

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
                self.lose(Loss.MALFORMED)
                return
        if self._complete:
            self._flush(exchange)
            self._end(exchange)
        elif not self._is_held:
            self._flush(exchange)

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
            self._is_held = True
        if not body:
            self._complete = True
            # llhttp does not know what was asked: after HEAD it would wait for a body.
            self._surplus = self._surplus or (exchange.method == b"HEAD" and length != 0)

    def on_body(self, data: bytes) -> None:
        if self._complete:
            self._surplus = True
        elif not self._missing:
            self._out.append(wire.chunk(data) if self._chunked else data)
            self._is_held = False

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
            exchange.answer_started = self._status != 0  # else it is an interim answer
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
        self._complete = self._until_close = self._missing = self._chunked = self._is_held = False
        self.resume()
        self.pool.stats.answered(status, perf_counter() - exchange.started_at)
        self.pool.release(self, reusable=reusable)
        if missing:
            path = exchange.path.decode("latin-1")
            exchange.fail(400, f"'{path}' endpoint does not exist in server replicas")
        else:
            exchange.end()
