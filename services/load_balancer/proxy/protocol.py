"""The client's side: reads requests, keeps them in order, writes their answers.

Requests may come pipelined (RFC 9112 §9.3.2): each becomes an Exchange at once, and starts when
those before it are answered. After an error, or after `Connection: close`, nothing more is read as
a request (§9.6); what still comes is thrown away for a while, for a client that is cut while it
writes may never read the answer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

import httptools

from load_balancer.proxy import wire
from load_balancer.proxy.exchange import Exchange
from load_balancer.proxy.flow_control import BODY_WAITS, PEER_SLOW, PIPELINE_FULL, ReadGate

if TYPE_CHECKING:
    from load_balancer.proxy.server import Server

MAX_PIPELINED = 32  # requests of one connection that wait for their turn
LINGER_S = 2.0  # nginx: lingering_timeout 5 s
LINGER_BYTES = 2 * 1024 * 1024


class ClientConnection(asyncio.Protocol):
    def __init__(self, server: Server) -> None:
        # For the connection's life
        self.server = server
        self._transport: asyncio.Transport
        self.gate: ReadGate
        self._fields = wire.Fields(is_request=True)
        self.on_header = self._fields.add
        self._parser = httptools.HttpRequestParser(self)
        self.deadline = self.server.now + server.settings.client_timeout_s
        self._linger_bytes = 0
        self._is_deaf = False  # nothing more is read as a request
        self._is_lingering = False  # all is answered; the client may still be writing
        self._is_full = False  # it does not read what we write
        # Requests in order; the first is being answered
        self._exchanges: deque[Exchange] = deque()
        # For one request
        self._reading: Exchange | None = None
        self._overhead_bytes = 0  # of head, chunk sizes or trailers, in reads without anything else

    @property
    def is_idle(self) -> bool:
        return not self._exchanges

    # What exchanges ask

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def abort(self) -> None:
        self._transport.abort()

    def turn_away(self, answer: bytes) -> None:
        """Answers before anything was asked, and closes."""
        self._is_deaf = True
        self._transport.write(answer)
        self._transport.close()

    def exchange_done(self) -> None:
        """The first exchange is answered: the connection's end, or the next one's turn."""
        exchange = self._exchanges[0]
        if self._reading is None:
            self.deadline = self.server.now + self.server.settings.idle_timeout_s
        if exchange.close or not exchange.request_complete:
            self._linger()
            return
        self._exchanges.popleft()
        if len(self._exchanges) < MAX_PIPELINED:
            self.gate.open(PIPELINE_FULL)
        if self._exchanges:
            # From the loop, not from here: a pipeline of answers at hand would nest its calls.
            self.server.loop.call_soon(self._start_first)

    def close_when_idle(self) -> None:
        """The server stops: an idle connection ends now, another with its answer."""
        if self.is_idle:
            self._transport.close()

    def sweep(self, now: float) -> None:
        """Ends what has been idle or too slow; called a few times a second."""
        if now < self.deadline:
            return
        reading = self._reading
        if self._is_lingering or (self.is_idle and self._transport.is_closing()):
            self._transport.abort()  # it does not read what was written last
        elif self.is_idle:
            self._transport.close()
        elif reading is None:
            return  # it waits for its answer
        elif not self.gate.is_open:  # it waits for us to read on
            self.deadline = now + self.server.settings.client_timeout_s
        elif reading is self._exchanges[0] and not reading.answer_started:
            self._refuse(wire.Refused(408, "the request did not arrive in time"))
        else:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self.gate = ReadGate(transport)
        self.server.connected(self)

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            self._linger_bytes += len(data)
            if self._linger_bytes > LINGER_BYTES:
                self._transport.abort()
            return
        reading = self._reading
        if reading is not None and reading.head_complete:
            self.deadline = self.server.now + self.server.settings.client_timeout_s
        # Counted by what came, for the parser says nothing of a line that does not end.
        self._overhead_bytes += len(data)
        unread: bytes | memoryview = data
        while unread:
            try:
                self._parser.feed_data(unread)
                break
            except httptools.HttpParserUpgrade as wish:
                # Not granted (RFC 9110 §7.8): what is behind it is the next request.
                unread = memoryview(unread)[wish.args[0] :]
            except httptools.HttpParserError as error:
                refusal = error.__context__
                if not isinstance(refusal, wire.Refused):
                    refusal = wire.Refused(400, f"malformed request: {error}")
                self._refuse(refusal)
                break
        if self._overhead_bytes > wire.MAX_HEAD_BYTES and self._reading is not None:
            self._refuse(wire.head_too_large())

    def eof_received(self) -> bool:
        # A client may close its half and wait for the answer: RFC 9112 §9.6.
        if not self._exchanges or self._reading is not None:
            return False
        self._exchanges[-1].close = True
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.disconnected(self)
        if self._exchanges:
            self._exchanges[0].abandon()
        self._exchanges.clear()

    def pause_writing(self) -> None:
        self._is_full = True
        if self._exchanges and (upstream := self._exchanges[0].upstream) is not None:
            upstream.pause()

    def resume_writing(self) -> None:
        self._is_full = False
        if self._exchanges and (upstream := self._exchanges[0].upstream) is not None:
            upstream.resume()
        self._start_first()

    # httptools

    def on_message_begin(self) -> None:
        if self._is_deaf:
            return
        self._reading = Exchange(self)
        self._fields.begin()
        self._overhead_bytes = 0
        self._exchanges.append(self._reading)
        self.deadline = self.server.now + self.server.settings.client_timeout_s
        if len(self._exchanges) >= MAX_PIPELINED:
            self.gate.close(PIPELINE_FULL)

    def on_url(self, url: bytes) -> None:
        if (exchange := self._reading) is not None:
            exchange.target += url
            if len(exchange.target) > wire.MAX_TARGET_BYTES:
                raise wire.Refused(414, f"target must be at most {wire.MAX_TARGET_BYTES} bytes")

    def on_headers_complete(self) -> None:
        exchange = self._reading
        if exchange is None:
            return
        parser = self._parser
        exchange.method = parser.get_method()
        exchange.read_head(
            self._fields.seal(), parser.get_http_version(), keep_alive=parser.should_keep_alive()
        )
        self._start_first()

    def on_body(self, data: bytes) -> None:
        self._overhead_bytes = 0
        if self._reading is not None:
            self._reading.read_body(data)

    def on_message_complete(self) -> None:
        exchange, self._reading = self._reading, None
        if exchange is None:
            return
        exchange.read_end()
        if exchange.close:
            self._is_deaf = True
            self._reading = None

    # Within

    def _start_first(self) -> None:
        """Starts what is to be answered next, once it is there and there is room for an answer."""
        if self._exchanges and not self._is_full:
            first = self._exchanges[0]
            if not first.started_at and (first.head_complete or first.refusal):
                first.start()

    def _refuse(self, refusal: wire.Refused) -> None:
        """What came is no request: it is answered in its turn, and it is the last one."""
        self._is_deaf = True
        exchange, self._reading = self._reading, None
        if exchange is None:
            exchange = Exchange(self)
            self._exchanges.append(exchange)
        exchange.refusal = refusal
        if not exchange.started_at:
            self._start_first()
        elif exchange.answer_started:
            self._transport.abort()
        else:  # its body broke, under way
            exchange.fail(refusal.status, str(refusal), close=True)

    def _linger(self) -> None:
        """Closes our half, and lets the client finish writing what we no longer read."""
        self._is_deaf = True
        whole = self._exchanges[0].request_complete and len(self._exchanges) == 1
        self._exchanges.clear()
        self._reading = None
        self.gate.open(PEER_SLOW | BODY_WAITS | PIPELINE_FULL)
        if whole and not self._linger_bytes:
            self._transport.close()
        else:
            self._is_lingering = True
            self._transport.write_eof()
            self.deadline = self.server.now + LINGER_S
