"""One request and its answer: which replica gets it, which gets it next, and what the client sees.

    waiting ── start ──▶ trying ── response head ──▶ answering ──▶ done
                          │  ▲
                          └──┘ refused or lost, and it may be tried elsewhere

A try may be repeated on the next replica clockwise if nothing was sent, whatever the method; or if
the method is safe, no byte of an answer went to the client, and the body is still at hand. A method
that is not safe is never sent twice (RFC 9110 §9.2.2).
"""

from __future__ import annotations

import secrets
from enum import Enum
from time import perf_counter
from typing import TYPE_CHECKING

from load_balancer.proxy import wire
from load_balancer.proxy.flow_control import BODY_WAITS
from load_balancer.routing import Replica
from ring import key_of

if TYPE_CHECKING:
    from load_balancer.proxy.pool import Pool
    from load_balancer.proxy.protocol import ClientConnection
    from load_balancer.proxy.upstream import UpstreamConnection

MAX_REPLAYED_BYTES = 16 * 1024  # of a request body, kept for a second try; HAProxy's buffer
MAX_WAITING_BYTES = 64 * 1024  # of a request body, before its connection is there
MAX_ADMIN_BODY_BYTES = 64 * 1024


class Loss(Enum):
    """How a try ended without an answer; the value says it to the client."""

    REFUSED = "refused the connection"  # nothing was sent
    RESET = "closed the connection without an answer"
    MALFORMED = "answered something that is no HTTP/1.1"
    TIMED_OUT = "did not answer in time"
    EXHAUSTED = "cannot be reached: this load balancer is out of connections"  # our shortage


STATUS = {Loss.TIMED_OUT: 504, Loss.EXHAUSTED: 503}  # the others are 502: RFC 9110 §15.6.3


class Exchange:
    __slots__ = (
        "_body",
        "_body_bytes",
        "_expects_continue",
        "_host",
        "_length",
        "_lines",
        "_sent",
        "_tried",
        "admin",
        "answer_started",
        "chunked",
        "client",
        "close",
        "done",
        "head_complete",
        "http10",
        "key",
        "method",
        "refusal",
        "request_complete",
        "request_id",
        "started_at",
        "target",
        "upstream",
    )

    def __init__(self, client: ClientConnection) -> None:
        self.client = client
        # The request
        self.method = b""
        self.target = b""
        self.http10 = False
        self.chunked = False
        self.admin = False
        self.request_id = b""
        self.key = 0
        self.refusal: wire.Refused | None = None
        self.head_complete = False
        self.request_complete = False
        self._lines: list[bytes] = []
        self._host = b""
        self._expects_continue = False
        self._length: int | None = None
        self._body: list[bytes] | None = []  # None: too much of it was sent to send it again
        self._body_bytes = 0
        # Its tries
        self.upstream: UpstreamConnection | None = None
        self.started_at = 0.0
        self._tried: list[Replica] = []
        self._sent = False
        # Its answer
        self.answer_started = False
        self.close = False  # the client's connection, when this is answered
        self.done = False

    # The request, as it is read

    def read_head(self, head: wire.Head, version: str, *, keep_alive: bool) -> None:
        """All fields are there: checks them, and settles what the exchange is. Raises Refused."""
        self.head_complete = True
        self.http10 = version == "1.0"
        self.close = not keep_alive
        host = head.host(version)
        # HTTP/1.0 may do without; the replica, asked in HTTP/1.1, may not: RFC 9112 §3.2, §3.3.
        self._host = self.client.server.authority if host is None else host
        if not self.target.startswith(b"/") and b"://" in self.target:
            self._host, self.target = wire.authority_and_path(self.target)
        wire.check_start(self.method, self.target, version)
        self._length, self.chunked = head.content_length(), head.is_chunked()
        if self.chunked and (self._length is not None or self.http10):
            # RFC 9112 §6.1: the classic request smuggling.
            raise wire.Refused(400, "Transfer-Encoding excludes Content-Length and HTTP/1.0")
        if b"upgrade" in head.special and (self._length or self.chunked):
            # llhttp takes the body for what comes after the upgrade.
            raise wire.Refused(501, "a request with a body cannot change the protocol here")
        self.admin = self.client.server.is_admin(self.path)
        if self.admin and (self._length or 0) > MAX_ADMIN_BODY_BYTES:
            raise _too_large()
        self._lines = head.lines
        self.request_id = head.special.get(b"x-request-id") or _random_id()
        self.key = key_of(self.request_id)
        if b"expect" in head.special and not self.http10:
            self._expects_continue = head.special[b"expect"].lower() == b"100-continue"

    def read_body(self, data: bytes) -> None:
        if self.done or self.refusal:
            return
        self._body_bytes += len(data)
        if self.admin and self._body_bytes > MAX_ADMIN_BODY_BYTES:
            self.fail(413, str(_too_large()), close=True)
            return
        self._forward(wire.chunk(data) if self.chunked else data)

    def read_end(self) -> None:
        self.request_complete = True
        if self.chunked and not self.refusal and not self.done:
            self._forward(wire.LAST_CHUNK)

    def _forward(self, data: bytes) -> None:
        if self.upstream is None:
            assert self._body is not None
            self._body.append(data)
            if self._body_bytes > MAX_WAITING_BYTES:
                self.client.gate.close(BODY_WAITS)
            return
        self.upstream.write(data)
        if self._body is not None:
            self._body.append(data)
            if self._body_bytes > MAX_REPLAYED_BYTES:
                self._body = None

    @property
    def path(self) -> bytes:
        return self.target.partition(b"?")[0]

    # Its tries

    def start(self) -> None:
        """Its turn: all earlier requests of this connection are answered."""
        self.started_at = perf_counter()
        server = self.client.server
        if self.refusal is not None:
            self.fail(self.refusal.status, str(self.refusal), close=True)
            return
        if self._expects_continue:
            self.client.write(wire.CONTINUE)  # RFC 9110 §10.1.1; not earlier, for the order
        if self.admin:
            server.admin_pool.acquire(self)
        else:
            self._try(server.table.route(self.key))

    def _try(self, replica: Replica | None) -> None:
        if replica is None:
            # From the loop: in the midst of a read, the rest of the request may be at hand.
            self.client.server.loop.call_soon(self._fail_for_want_of_replicas)
            return
        self._tried.append(replica)
        self.client.server.pool(replica).acquire(self)

    def send_to(self, upstream: UpstreamConnection) -> None:
        """The pool's answer: a connection. The request goes out, as much of it as there is."""
        self.upstream = upstream
        self._sent = True
        assert self._body is not None
        upstream.write(b"".join((self._request_head(), *self._body)))
        if self._body_bytes > MAX_REPLAYED_BYTES:
            self._body = None
        self.client.gate.open(BODY_WAITS)

    def lost(self, pool: Pool, loss: Loss) -> None:
        """The try failed. On to the next replica, or to the client with it."""
        self.upstream = None
        if self.done:
            return
        if self.answer_started:
            self.client.abort()  # RFC 9112 §8: a cut answer must be seen as cut
            self.done = True
            return
        successor = self._successor() if pool.replica is not None else None
        if successor is not None:
            pool.stats.retries += 1
            self._try(successor)
        else:
            self.fail(STATUS.get(loss, 502), f"{pool.name} {loss.value}")

    def _successor(self) -> Replica | None:
        """The next replica clockwise that was not tried, if this request may be sent again."""
        server = self.client.server
        repeatable = not self._sent or self.method in wire.SAFE_METHODS
        if not repeatable or self._body is None or len(self._tried) >= server.max_attempts:
            return None
        tried = {replica.hostname for replica in self._tried}
        order = server.table.failover_order(self.key)
        return next((replica for replica in order if replica.hostname not in tried), None)

    def _request_head(self) -> bytes:
        return b"".join(
            (
                b"%b %b HTTP/1.1\r\n" % (self.method, self.target),
                *self._lines,
                b"Host: %b\r\n" % self._host,
                b"X-Request-ID: %b\r\n" % self.request_id,
                wire.framing(self._length, chunked=self.chunked),
                wire.VIA,
                b"\r\n",
            )
        )

    # Its answer

    def answer_head(
        self, status: int, lines: list[bytes], length: int | None
    ) -> tuple[bytes, bool]:
        """The answer's head for the client, and whether its body goes out chunked. `length` is
        the body's in bytes, None if it is not known yet."""
        chunked = length is None and wire.has_body(self.method, status)
        if chunked and self.http10:
            chunked, self.close = False, True  # then the end of the connection ends the body
        head = (
            wire.status_line(status),
            *lines,
            wire.framing(length, chunked=chunked),
            self._our_lines(),
            b"\r\n",
        )
        return b"".join(head), chunked

    def end(self) -> None:
        """The whole answer is with the client."""
        self.done = True
        self.upstream = None
        self._body = None
        self.client.exchange_done()

    def fail(
        self, status: int, message: str, *, close: bool = False, retry_after_s: int | None = None
    ) -> None:
        """Answers with an error of our own."""
        if self.upstream is not None:
            self.upstream.abandon()
        self.close = self.close or close
        lines = self._our_lines()
        if retry_after_s is not None:
            lines += b"Retry-After: %d\r\n" % retry_after_s
        self.client.write(wire.error_response(status, message, method=self.method, lines=lines))
        self.end()

    def _fail_for_want_of_replicas(self) -> None:
        if not self.done:
            self.fail(503, "no replica is alive", retry_after_s=1)

    def abandon(self) -> None:
        """The client has gone; its answer has nowhere to go."""
        self.done = True
        if self.upstream is not None:
            self.upstream.abandon()
            self.upstream = None

    def _our_lines(self) -> bytes:
        lines = wire.VIA
        if self.request_id:
            lines += b"X-Request-ID: %b\r\n" % self.request_id
        if self._tried:
            lines += b"X-Replica: %b\r\n" % self._tried[-1].hostname.encode()
        if self.client.server.is_closing or not self.request_complete:
            self.close = True  # RFC 9112 §9.3: the rest of a request may not be left unread
        if self.close:
            lines += wire.CLOSE
        elif self.http10:
            lines += wire.KEEP_ALIVE
        return lines


def _random_id() -> bytes:
    """Six digits, the assignment's range of ids."""
    return b"%d" % (100_000 + secrets.randbelow(900_000))


def _too_large() -> wire.Refused:
    return wire.Refused(413, f"the body must be at most {MAX_ADMIN_BODY_BYTES} bytes")
