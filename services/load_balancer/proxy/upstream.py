"""The replica's side: one keep-alive connection, and what is read from it."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING

from load_balancer.proxy import wire
from load_balancer.proxy.body import BodyReader, Chunked, Sized, UntilClose
from load_balancer.proxy.exchange import Exchange, Loss
from load_balancer.proxy.flow_control import PEER_SLOW, ReadGate
from load_balancer.proxy.head import END, ResponseHead, check_answer_beginning, parse_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from load_balancer.proxy.pool import Pool


class WholeAnswer:
    """An answer that came with its head in one piece. Most that follow on the same connection have
    the very same head, and go on with one comparison."""

    __slots__ = ("data", "head_bytes", "num_bytes", "prefix", "status")

    def __init__(self, head: bytes, parsed: ResponseHead, prefix: bytes) -> None:
        self.data = head
        self.head_bytes = len(head)
        self.num_bytes = len(head) + (parsed.length or 0)
        self.prefix = prefix
        self.status = parsed.status


class UpstreamConnection(asyncio.Protocol):
    """A connection to a replica. Carries one exchange at a time, and idles in its pool between."""

    def __init__(self, pool: Pool) -> None:
        # For the connection's life
        self.pool = pool
        self._transport: asyncio.Transport
        # The transport's own:
        self._write: Callable[[bytes], None]
        self.is_closing: Callable[[], bool]
        self._gate: ReadGate
        self._last: WholeAnswer | None = None
        # For one exchange
        self.exchange: Exchange | None = None
        self.deadline = 0.0  # the loop's clock: of the next byte, or of idling
        self._is_full = False  # the replica does not read what we write
        self.has_idled = False  # ever: then it may have been closed before a request came
        # For one answer
        self._unread = b""
        self._head: ResponseHead | None = None
        self._body: BodyReader | None = None
        self._held = b""  # head that waits a moment for its body: till then another may answer
        self._chunks = False  # what the client gets
        self._is_missing = False  # 404, which the contract turns into an error of ours

    # What the pool and the exchange ask

    def carry(self, exchange: Exchange) -> None:
        self.exchange = exchange
        exchange.upstream = self
        exchange.is_sent = True
        self.deadline = self.pool.response_deadline
        self._write(exchange.message())

    def write(self, data: bytes) -> None:
        self.deadline = self.pool.response_deadline
        self._write(data)

    def write_tunnelled(self, data: bytes) -> None:
        self.deadline = self.pool.now + self.pool.tunnel_timeout_s
        self._write(data)

    def release_head(self) -> None:
        """The head goes out without its body, which takes its time: from now on the answer is this
        replica's."""
        if self._held and self.exchange is not None:
            held, self._held = self._held, b""
            self.exchange.answer_started = True
            self.exchange.client.write(held)

    def abandon(self) -> None:
        """Its exchange wants no more of it; with an answer half read it is of no further use."""
        exchange, self.exchange = self.exchange, None
        if exchange is not None and exchange.is_tunnel:
            self._transport.close()  # what the client sent last goes on
        else:
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

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._write = transport.write
        self.is_closing = transport.is_closing
        self._gate = ReadGate(transport)

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:  # RFC 9112 §9.2: nobody has asked for this
            self._transport.abort()
            return
        last = self._last
        if (
            last is not None
            and len(data) == last.num_bytes
            and self._head is None
            and not self._unread
            and exchange.is_plain
            and not self._is_full
            and not self.pool.has_failed
            and data.startswith(last.data)
        ):
            # The whole answer, under the head that the last one had.
            self.exchange = None
            exchange.done = True
            pool = self.pool
            pool.stats.answered(last.status, perf_counter() - exchange.started_at)
            if pool.access_log is not None:
                pool.access_log.add(exchange, last.status)
            pool.release(self, reusable=True)
            client = exchange.client
            client.write(b"".join((last.prefix, exchange.request_id, END, data[last.head_bytes :])))
            client.exchange_done()
            return
        self.deadline = self.pool.response_deadline
        try:
            self._read(exchange, self._unread + data if self._unread else data)
        except wire.Refused:
            self.lose(Loss.MALFORMED)

    def eof_received(self) -> bool:
        exchange = self.exchange
        if exchange is not None and isinstance(self._body, UntilClose):
            self._pass_body(exchange, b"", is_complete=True)
            self._end(exchange, is_reusable=False)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        exchange = self.exchange
        if exchange is None:
            self.pool.closed_while_idle(self)
        elif exchange.is_tunnel:
            self._end(exchange, is_reusable=False)
        else:
            self.lose(Loss.STALE if self.has_idled else Loss.RESET)

    def pause_writing(self) -> None:
        self._is_full = True
        if self.exchange is not None:
            self.exchange.client.gate.close(PEER_SLOW)

    def resume_writing(self) -> None:
        self._is_full = False
        if self.exchange is not None:
            self.exchange.client.gate.open(PEER_SLOW)

    # Reading

    def _read(self, exchange: Exchange, data: bytes) -> None:
        self._unread = b""
        while self._head is None:
            if exchange.is_tunnel:
                exchange.client.write(data)
                self.deadline = self.pool.now + self.pool.tunnel_timeout_s
                return
            end = data.find(END) + len(END)
            if end < len(END):
                check_answer_beginning(data, self.pool.limits)
                self._unread = data
                return
            self._read_head(exchange, data[:end])
            data = data[end:]
        assert self._body is not None
        payload = self._body.read(data)
        is_complete = self._body.is_complete
        if not self._is_missing:
            self._pass_body(exchange, payload, is_complete=is_complete)
        if is_complete:
            is_reusable = not self._body.rest and not self._head.close
            self._end(exchange, is_reusable=is_reusable)

    def _read_head(self, exchange: Exchange, data: bytes) -> None:
        head = parse_response(data, self.pool.limits)
        status = head.status
        if status < 200:
            self._interim(exchange, head)
            return
        self._head = head
        if not wire.has_body(exchange.head.method, status):
            self._body = Sized(0)
        elif head.is_chunked:
            self._body = Chunked(self.pool.limits)
        elif head.length is not None:
            self._body = Sized(head.length)
        else:
            self._body = UntilClose()
        self._is_missing = status == 404 and self.pool.speaks_contract
        if self._is_missing:
            return
        # RFC 9112 §6.3: Transfer-Encoding overrides; RFC 9110 §8.6: 204 tells no length
        length = None if head.is_chunked or status == 204 else head.length
        self._chunks = not isinstance(self._body, Sized) and not exchange.head.is_http10
        if length is None and exchange.head.is_http10 and not isinstance(self._body, Sized):
            exchange.close = True  # then the end of the connection ends the body
        prefix = self._prefix(head, wire.framing(length, chunked=self._chunks))
        self._held = b"".join(
            (prefix, exchange.request_id, b"\r\n", exchange.connection_line(), b"\r\n")
        )
        is_plain = length is not None and not head.close and exchange.is_plain
        is_plain = is_plain and status != 304 and status < 500
        self._last = WholeAnswer(data, head, prefix) if is_plain else None

    def _prefix(self, head: ResponseHead, framing: bytes) -> bytes:
        """The answer's head as the client gets it, up to the request id."""
        return b"".join(
            (
                wire.status_line(head.status),
                head.lines,
                framing,
                wire.VIA,
                self.pool.replica_line,
                b"X-Request-ID: ",
            )
        )

    def _interim(self, exchange: Exchange, head: ResponseHead) -> None:
        """1xx: RFC 9110 §15.2. 101 only to who asked for it."""
        if head.status == 101:
            if not (exchange.head.wants_websocket and head.is_websocket):
                raise wire.Refused(502, "101 is no answer to what was asked")
            self.deadline = self.pool.now + self.pool.tunnel_timeout_s
            upgrade = b"Connection: upgrade\r\nUpgrade: websocket\r\n"
            exchange.client.write(self._prefix(head, upgrade) + exchange.request_id + END)
            exchange.open_tunnel()
        elif head.status == 100 and exchange.head.expects_continue:
            pass  # we have given it ourselves
        elif not exchange.head.is_http10:
            exchange.client.write(wire.status_line(head.status) + head.lines + b"\r\n")

    def _pass_body(self, exchange: Exchange, payload: bytes, *, is_complete: bool) -> None:
        if not payload and not is_complete:
            return
        if self._chunks:
            payload = wire.chunk(payload) if payload else b""
            if is_complete:
                payload += wire.LAST_CHUNK
        if self._held:
            payload, self._held = self._held + payload, b""
        if payload:
            exchange.answer_started = True
            exchange.client.write(payload)

    def _end(self, exchange: Exchange, *, is_reusable: bool) -> None:
        """The answer is whole: first the connection becomes free, then the client hears of it,
        who may have its next request ready."""
        status = 101 if self._head is None else self._head.status
        is_missing = self._is_missing
        is_reusable = is_reusable and exchange.request_complete and not self._is_full
        if self._is_full:
            exchange.client.gate.open(PEER_SLOW)
        self.exchange = exchange.upstream = None
        self._head = self._body = None
        self._chunks = self._is_missing = False
        self.resume()
        self.pool.answered(status, perf_counter() - exchange.started_at)
        if self.pool.access_log is not None and not is_missing:
            self.pool.access_log.add(exchange, status)
        self.pool.release(self, reusable=is_reusable)
        if is_missing:
            path = exchange.head.path.decode("latin-1")
            exchange.fail(400, f"'{path}' endpoint does not exist in server replicas")
        else:
            exchange.end()
