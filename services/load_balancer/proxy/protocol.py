"""The client's side: reads requests, one after the other, and writes their answers.

Requests may come pipelined (RFC 9112 §9.3.2). One at a time is taken up; what is behind it waits
as the bytes it came in, up to a limit, and so the answers are in order. After an error, or after
`Connection: close`, nothing more is read as a request (§9.6); what still comes is thrown away for
a while, for a client that is cut while it writes may never read the answer.
"""

from __future__ import annotations

import asyncio
from random import randrange
from time import perf_counter
from typing import TYPE_CHECKING

from load_balancer.proxy import wire
from load_balancer.proxy.body import BodyReader, Chunked, Sized
from load_balancer.proxy.exchange import Exchange
from load_balancer.proxy.flow_control import (
    BODY_WAITS,
    PEER_SLOW,
    PIPELINE_FULL,
    ReadGate,
)
from load_balancer.proxy.head import EMPTY_LINES, END, RequestHead, check_beginning, parse_request
from ring import key_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from load_balancer.proxy.server import Server

LINGER_S = 2.0  # nginx: lingering_timeout 5 s
LINGER_BYTES = 2 * 1024 * 1024


class ClientConnection(asyncio.Protocol):
    def __init__(self, server: Server) -> None:
        # For the connection's life
        self.server = server
        self.address = b""
        self._transport: asyncio.Transport
        self.write: Callable[[bytes], None]  # the transport's own
        self.gate: ReadGate
        self.deadline = self.server.now + server.settings.head_timeout_s
        self._last_head: RequestHead | None = None  # that may come again
        self._expected: RequestHead | None = None  # the same, while nothing stands in its way
        self._unread = b""
        self._has_asked = False  # ever
        self._linger_bytes = 0
        self._is_deaf = False  # nothing more is read as a request
        self._is_lingering = False  # all is answered; the client may still be writing
        self._is_full = False  # it does not read what we write
        self._is_half_closed = False  # it has said that it sends no more
        # For one request
        self._exchange: Exchange | None = None
        self._body: BodyReader | None = None  # while it is not whole
        self._body_bytes = 0  # that came since the deadline was set

    # What exchanges ask

    def abort(self) -> None:
        self._transport.abort()

    def tunnel_opened(self) -> None:
        self.server.loop.call_soon(self._read)  # what came behind the request

    def turn_away(self, status: int, answer: bytes) -> None:
        """Answers before anything was asked, and closes."""
        self._is_deaf = True
        self._answer_no_request(status, answer)
        self._transport.close()

    def exchange_done(self) -> None:
        """It is answered: the connection's end, or the next request's turn."""
        exchange, self._exchange = self._exchange, None
        assert exchange is not None
        server = self.server
        server.sampler.latest = exchange
        self.deadline = server.idle_deadline
        if exchange.close or not exchange.request_complete:
            self._linger(whole=exchange.request_complete)
        elif self._unread:
            self.deadline = server.now + server.settings.head_timeout_s
            # From the loop, not from here: a pipeline of answers at hand would nest its calls.
            server.loop.call_soon(self._read)
        elif not (self._is_full or server.is_closing):
            self._expected = self._last_head

    def close_when_idle(self, *, patient: bool) -> None:
        """The server stops: an idle connection ends now, another with its answer. It is not idle
        while a request has begun; nor, to who is `patient`, before its first request, for which it
        was accepted."""
        if self._exchange is not None:
            self._exchange.is_plain = False
        elif not self._has_begun and (self._has_asked or not patient):
            self._transport.close()

    @property
    def _has_begun(self) -> bool:
        """Whether there is a beginning of a request; empty lines are none."""
        return bool(self._unread.strip(b"\r\n"))

    def sweep(self, now: float) -> None:
        """Ends what has been idle or too slow; called a few times a second."""
        if self._body is not None and not self.gate.is_open:
            self._expect_more_body()  # it waits for us to read on
        if now < self.deadline:
            return
        exchange = self._exchange
        if self._is_lingering or self._transport.is_closing():
            self._transport.abort()  # it does not read what was written last
        elif exchange is None and not self._has_begun:
            self._transport.close()
        elif exchange is None:
            self._refuse(wire.Refused(408, "the request did not arrive in time"))
        elif exchange.request_complete:
            return  # it waits for its answer; of a tunnel, the other end keeps the time
        elif exchange.answer_started:
            self._transport.abort()
        else:
            self._refuse(wire.Refused(408, "the request did not arrive in time"))

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self.write = transport.write
        self.gate = ReadGate(transport)
        peer = transport.get_extra_info("peername")
        self.address = peer[0].encode() if peer else b"unknown"
        self.server.connected(self)

    def data_received(self, data: bytes) -> None:
        expected = self._expected
        if expected is not None:
            self._expected = None
            request_id = expected.repeated(data)
            if request_id is not None:
                request_id = request_id or _random_id()
                # Decimal digits, which are their own key.
                self._exchange = exchange = Exchange(self, expected, request_id, int(request_id))
                exchange.started_at = perf_counter()
                exchange.route()
                return
        if self._is_deaf:
            self._linger_bytes += len(data)
            if self._linger_bytes > LINGER_BYTES:
                self._transport.abort()
            return
        if self._exchange is None and not self._unread:
            self.deadline = self.server.now + self.server.settings.head_timeout_s
        self._unread = self._unread + data if self._unread else data
        self._read()

    def eof_received(self) -> bool:
        # A client may close its half and wait for the answer: RFC 9112 §9.6.
        exchange = self._exchange
        if exchange is not None:
            if exchange.is_tunnel or not exchange.request_complete:
                return False
            exchange.close = exchange.close or not self._unread
            exchange.is_plain = exchange.is_plain and not exchange.close
        elif self._unread and not self._is_deaf:
            self.server.loop.call_soon(self._read)
        else:
            return False
        self._is_half_closed = True
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.disconnected(self)
        self._is_deaf = True
        self._unread = b""
        self._expected = None
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.abandon()

    def pause_writing(self) -> None:
        self._is_full = True
        self._expected = None
        if self._exchange is not None and self._exchange.upstream is not None:
            self._exchange.upstream.pause()

    def resume_writing(self) -> None:
        self._is_full = False
        if self._exchange is not None and self._exchange.upstream is not None:
            self._exchange.upstream.resume()
        self._read()

    # Reading

    def _read(self) -> None:
        """Takes what is unread as far as it goes."""
        try:
            while self._unread and not self._is_deaf:
                exchange = self._exchange
                if exchange is None:
                    if self._is_full or not self._read_head():
                        break
                elif self._body is not None:
                    self._read_body(exchange, self._body)
                elif exchange.is_tunnel:
                    data, self._unread = self._unread, b""
                    exchange.read_tunnelled(data)
                else:  # its turn comes when the request before it is answered
                    break
        except wire.Refused as refusal:
            self._refuse(refusal)
        if len(self._unread) > self.server.settings.max_pipelined_bytes:
            self.gate.close(PIPELINE_FULL)
        else:
            self.gate.open(PIPELINE_FULL)

    def _read_head(self) -> bool:
        """Whether a whole head was there; its request has started."""
        data = self._unread
        if data.startswith(b"\r\n"):  # RFC 9112 §2.2: empty lines before it are no part of it
            data = EMPTY_LINES.sub(b"", data, count=1)
        end = data.find(END) + len(END)
        if end < len(END):
            # The empty lines stay: they count, and do not prolong the deadline.
            if len(self._unread) - len(data) > self.server.limits.head_bytes:
                raise self.server.limits.head_too_large()
            if data:
                check_beginning(data, self.server.limits)
            if self._is_half_closed:
                self._transport.close()
            return False
        head = parse_request(
            data[:end] if len(data) > end else data,
            limits=self.server.limits,
            client=self.address,
            authority=self.server.authority,
        )
        self._has_asked = True
        can_repeat = not (head.has_body or head.close or head.max_forwards is not None)
        self._last_head = head if can_repeat and not self.server.is_admin(head.path) else None
        self._unread = data[end:]
        request_id = head.request_id or _random_id()
        self._exchange = exchange = Exchange(self, head, request_id, key_of(request_id))
        if head.has_body:
            self._body = Chunked(self.server.limits) if head.is_chunked else Sized(head.length or 0)
            exchange.expect_body()
            self._expect_more_body()
            if self._unread:
                self._read_body(exchange, self._body)
        if self._is_half_closed and not self._unread:
            exchange.close = True
        if exchange.close or self.server.is_closing:
            exchange.is_plain = False
        if exchange.close and exchange.request_complete:
            self._is_deaf = True
        exchange.start()
        return True

    def _read_body(self, exchange: Exchange, body: BodyReader) -> None:
        data, self._unread = self._unread, b""
        self._body_bytes += len(data)
        if self._body_bytes >= self.server.min_body_bytes:
            self._expect_more_body()
        exchange.read_body(body.read(data))
        if body.is_complete:
            self._body, self._unread = None, body.rest
            exchange.read_end()
            if exchange.close:
                self._is_deaf = True

    def _expect_more_body(self) -> None:
        """A piece of it, as long as the slowest client's, must come in time from now."""
        self.deadline = self.server.now + self.server.settings.body_timeout_s
        self._body_bytes = 0

    def _refuse(self, refusal: wire.Refused) -> None:
        """What came is no request: it is answered, and it is the last one."""
        self._is_deaf = True
        exchange = self._exchange
        if exchange is None:
            method = b"HEAD" if self._unread.lstrip(b"\r\n").startswith(b"HEAD ") else b""
            allow = wire.ALLOW if refusal.status == 405 else b""  # RFC 9110 §15.5.6
            lines = allow + wire.VIA + wire.CLOSE
            answer = wire.error_response(refusal.status, str(refusal), method=method, lines=lines)
            self._answer_no_request(refusal.status, answer)
            self._linger(whole=False)
        elif exchange.answer_started:
            self._transport.abort()
        else:  # its body broke, under way
            exchange.fail(refusal.status, str(refusal), close=True)

    def _answer_no_request(self, status: int, answer: bytes) -> None:
        self._transport.write(answer)
        if (access_log := self.server.access_log) is not None:
            access_log.add_refusal(self.address, status)

    def _linger(self, *, whole: bool) -> None:
        """Closes our half, and lets the client finish writing what we no longer read."""
        self._is_deaf = True
        if self._unread or not whole:
            self._unread = b""
            self._is_lingering = True
            self._transport.write_eof()
            self.deadline = self.server.now + LINGER_S
        else:
            self._transport.close()
        self._body = None
        self.gate.open(PEER_SLOW | BODY_WAITS | PIPELINE_FULL)


def _random_id() -> bytes:
    """Six digits, the assignment's range of ids."""
    return b"%d" % randrange(100_000, 1_000_000)
