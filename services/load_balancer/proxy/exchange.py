"""One request and its answer: which replica gets it, which gets it next, and what the client sees.

    waiting ── start ──▶ trying ── response head ──▶ answering ──▶ done
                          │  ▲
                          └──┘ refused or lost, and it may be tried elsewhere

A try may be repeated on the next replica clockwise if nothing was sent, whatever the method; or if
the method is idempotent, no byte of an answer went to the client, the body is still at hand, and
the retry budget allows it. Any other method is never sent twice (RFC 9110 §9.2.2).
"""

from __future__ import annotations

from enum import Enum
from time import perf_counter
from typing import TYPE_CHECKING

from load_balancer.proxy import wire
from load_balancer.proxy.flow_control import BODY_WAITS, MAX_WAITING_BYTES
from load_balancer.proxy.head import END, IDEMPOTENT_METHODS, RequestHead
from load_balancer.routing import Replica

if TYPE_CHECKING:
    from load_balancer.proxy.pool import Pool
    from load_balancer.proxy.protocol import ClientConnection
    from load_balancer.proxy.upstream import UpstreamConnection

MAX_REPLAYED_BYTES = 16 * 1024  # of a request body, kept for a second try; HAProxy's buffer
MAX_ADMIN_BODY_BYTES = 64 * 1024


class Loss(Enum):
    """How a try ended without an answer; the value says it to the client."""

    REFUSED = "refused the connection"  # nothing was sent
    RESET = "closed the connection without an answer"
    STALE = "closed a connection that it had kept open"  # perhaps before it saw the request
    CUT = "was found dead, or had to leave, before it answered"  # by us
    MALFORMED = "answered something that is no HTTP/1.1"
    TIMED_OUT = "did not answer in time"
    EXHAUSTED = "cannot be reached: this load balancer is out of connections"  # our shortage


STATUS = {Loss.TIMED_OUT: 504, Loss.EXHAUSTED: 503}  # the others are 502: RFC 9110 §15.6.3


class Exchange:
    __slots__ = (
        "_body",
        "_body_bytes",
        "_tried",
        "answer_started",
        "client",
        "close",
        "done",
        "head",
        "is_plain",
        "is_sent",
        "is_tunnel",
        "key",
        "replica",
        "request_complete",
        "request_id",
        "started_at",
        "upstream",
    )

    def __init__(
        self, client: ClientConnection, head: RequestHead, request_id: bytes, key: int
    ) -> None:
        self.client = client
        # The request
        self.head = head
        self.request_id = request_id
        self.key = key
        self.request_complete = True
        self._body: list[bytes] | None = None  # None: there is none, or too much of it was sent
        self._body_bytes = 0
        # Its tries
        self.upstream: UpstreamConnection | None = None
        self.replica: Replica | None = None  # that was tried last
        self._tried: tuple[str, ...] = ()  # and before, hostnames
        self.is_sent = False
        self.started_at = perf_counter()
        # Its answer
        self.answer_started = False
        self.close = head.close  # the client's connection, when this is answered
        # Nothing of ours has to change in the answer but the request id.
        self.is_plain = head.is_plain
        self.done = False
        self.is_tunnel = False  # after 101: bytes go both ways, and mean nothing to us

    # The request, as it is read

    def expect_body(self) -> None:
        """Its body comes after the head, by `read_body` and `read_end`. Refused if it is announced
        to be too long."""
        self.request_complete = self.is_plain = False
        self._body = []
        self._check_length(self.head.length or 0)

    def read_body(self, data: bytes) -> None:
        """Refused if that is too much."""
        if self.done or not data:
            return
        self._body_bytes += len(data)
        self._check_length(self._body_bytes)
        self._forward(wire.chunk(data) if self.head.is_chunked else data)

    def read_end(self) -> None:
        self.request_complete = True
        self.is_plain = self.head.is_plain and not self.client.server.is_closing
        if self.head.is_chunked and not self.done:
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
            self._forget_long_body()

    def _forget_long_body(self) -> None:
        if self._body_bytes > MAX_REPLAYED_BYTES:
            self._body = None

    def _check_length(self, num_bytes: int) -> None:
        server = self.client.server
        most = MAX_ADMIN_BODY_BYTES if self.is_admin else server.settings.max_body_bytes
        if most and num_bytes > most:
            raise wire.Refused(413, f"the body must be at most {most} bytes")

    @property
    def is_admin(self) -> bool:
        return self.client.server.is_admin(self.head.path)

    def read_tunnelled(self, data: bytes) -> None:
        if self.upstream is not None:
            self.upstream.write_tunnelled(data)

    # Its tries

    def start(self) -> None:
        """Its turn: all that is there of it goes out."""
        self.started_at = perf_counter()
        head, server = self.head, self.client.server
        if head.expects_continue and not self.request_complete:
            self.client.write(wire.CONTINUE)  # RFC 9110 §10.1.1; not earlier, for the order
        if head.max_forwards == 0:
            self._answer_for_ourselves()
        elif server.is_admin(head.path):
            server.admin_pool.acquire(self)
        else:
            self.route()

    def route(self) -> None:
        """To the replica that serves its key."""
        server = self.client.server
        replica = server.route(self.key)
        if server.restraints.active and replica in server.restraints.active:
            replica = server.successor(self.key, ())
        self.replica = replica
        if replica is not None:
            (server.pools.get(replica) or server.pool(replica)).acquire(self)
        else:
            # From the loop: in the midst of a read, the rest of the request may be at hand.
            server.loop.call_soon(self._fail_for_want_of_replicas)

    def message(self) -> bytes:
        """What goes out by a connection that was found: the head, and what there is of the body."""
        if self._body is None:
            return self.head.forwarded + self.request_id + END
        data = b"".join((self.head.forwarded, self.request_id, END, *self._body))
        self._forget_long_body()
        self.client.gate.open(BODY_WAITS)
        return data

    def lost(self, pool: Pool, loss: Loss) -> None:
        """The try failed. On to the next replica, or to the client with it."""
        self.upstream = None
        if self.done:
            return
        if self.answer_started:
            self.client.abort()  # RFC 9112 §8: a cut answer must be seen as cut
            self.done = True
            return
        successor = self._successor(loss) if self.replica is not None else None
        if successor is not None:
            pool.stats.retries += 1
            self.replica = successor
            self.client.server.pool(successor).acquire(self)
        else:
            self.fail(*pool.failure(loss))

    def _successor(self, loss: Loss) -> Replica | None:
        """The next replica clockwise that was not tried, if this request may be sent again."""
        assert self.replica is not None
        server = self.client.server
        self._tried += (self.replica.hostname,)
        if len(self._tried) >= server.max_attempts:
            return None
        if self.is_sent and not (
            self.head.method in IDEMPOTENT_METHODS
            and self._is_body_at_hand
            # The dead get no storm, and all that they had is lost at once.
            and (loss is Loss.CUT or server.retry_budget.withdraw())
        ):
            return None
        successor = server.successor(self.key, self._tried)
        if (
            successor is None
            and loss is Loss.STALE
            and self._tried.count(self.replica.hostname) == 1
        ):
            return self.replica  # there is no other: once more, by a connection of its own
        return successor

    @property
    def _is_body_at_hand(self) -> bool:
        return self._body is not None or not self.head.has_body

    # Its answer

    def open_tunnel(self) -> None:
        self.answer_started = self.is_tunnel = self.close = True
        self.client.tunnel_opened()

    def end(self) -> None:
        """The whole answer is with the client."""
        self.done = True
        self.upstream = None
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
        self._answer(
            status, wire.error_response(status, message, method=self.head.method, lines=lines)
        )

    def _answer_for_ourselves(self) -> None:
        """RFC 9110 §7.6.2: an OPTIONS that may go no further ends here."""
        framing = wire.framing(0, chunked=False)
        lines = (wire.status_line(200), wire.ALLOW, framing, self._our_lines(), b"\r\n")
        self._answer(200, b"".join(lines))

    def _answer(self, status: int, answer: bytes) -> None:
        self.client.write(answer)
        if (access_log := self.client.server.access_log) is not None:
            access_log.add(self, status)
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
        named = b"X-Replica: %b\r\n" % self.replica.hostname.encode() if self.replica else b""
        return b"".join(
            (wire.VIA, named, b"X-Request-ID: %b\r\n" % self.request_id, self.connection_line())
        )

    def connection_line(self) -> bytes:
        """What the answer's head says of the client's connection."""
        if self.client.server.is_closing or not self.request_complete:
            self.close = True  # RFC 9112 §9.3: the rest of a request may not be left unread
        if self.close:
            return wire.CLOSE
        return wire.KEEP_ALIVE if self.head.is_http10 else b""
