"""The client's side: requests as they may come, their order, and the connection's life."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from load_balancer.proxy.head import Limits
from load_balancer.proxy.protocol import LINGER_BYTES, LINGER_S
from load_balancer.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Feeding, Lab, Peer

LIMITS = Limits()
GET = b"GET /home HTTP/1.1\r\nHost: lab\r\nX-Request-ID: 1\r\n\r\n"
ADDED = (
    b"X-Forwarded-For: 198.51.100.7\r\nX-Forwarded-Host: lab\r\nX-Forwarded-Proto: http\r\n"
    b"Via: 1.1 ringlab\r\nX-Request-ID: 1\r\n\r\n"
)
GET_FORWARDED = b"GET /home HTTP/1.1\r\nHost: lab\r\n" + ADDED
POST = b"POST /home HTTP/1.1\r\nHost: lab\r\nX-Request-ID: 1\r\nContent-Length: 5\r\n\r\nhello"
POST_FORWARDED = b"POST /home HTTP/1.1\r\nHost: lab\r\nContent-Length: 5\r\n" + ADDED + b"hello"
CHUNKED_HEAD = (
    b"POST /home HTTP/1.1\r\nHost: lab\r\nX-Request-ID: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
CLOSE = b"Connection: close\r\n"


@pytest.fixture
def client(lab: Lab) -> Peer:
    return lab.client()


@pytest.fixture
def replica(lab: Lab) -> Callable[[], Peer]:
    """The newest connection to the replica of request id 1."""
    return lambda: lab.upstream(lab.order(b"1")[0])


def ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def without_chunks(data: bytes) -> bytes:
    """The body of a chunked message, of which `data` is head and body; it must be whole."""
    body, rest = b"", data.partition(b"\r\n\r\n")[2]
    while (size := int(rest.partition(b"\r\n")[0], 16)) != 0:
        start = rest.index(b"\r\n") + 2
        body += rest[start : start + size]
        assert rest[start + size :].startswith(b"\r\n")
        rest = rest[start + size + 2 :]
    assert rest == b"0\r\n\r\n"
    return body


# Requests, whole, byte by byte, and with the next one behind


def test_get(client: Peer, replica: Callable[[], Peer], feed: Feeding) -> None:
    """A request goes on once, with its fields, Via and its id; its answer comes back."""
    feed.request(client, GET)
    assert replica().received == GET_FORWARDED
    replica().send(ok(b"hi"))
    assert client.received == (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nVia: 1.1 ringlab\r\nX-Replica: %b\r\n"
        b"X-Request-ID: 1\r\n\r\nhi" % client.lab.order(b"1")[0].encode()
    )


def test_post(client: Peer, replica: Callable[[], Peer], feed: Feeding) -> None:
    """A body of known length goes on with that length."""
    feed.request(client, POST)
    assert replica().received == POST_FORWARDED
    replica().send(OK)
    assert client.statuses == [200]


def test_chunked_post(client: Peer, replica: Callable[[], Peer], feed: Feeding) -> None:
    """A chunked body goes on chunked: its bytes the same, extensions and trailers left out."""
    feed.request(
        client, CHUNKED_HEAD + b"5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n"
    )
    start, _, _ = replica().received.partition(b"\r\n\r\n")
    assert b"\r\nTransfer-Encoding: chunked" in start
    assert without_chunks(replica().received) == b"hello world"
    assert b"X-Trailer" not in replica().received
    replica().send(OK)
    assert client.statuses == [200]


def test_body_goes_on_as_it_comes(client: Peer, replica: Callable[[], Peer]) -> None:
    """Nothing waits for the whole body."""
    client.send(POST[:-5])
    client.send(b"hel")
    assert replica().received == POST_FORWARDED[:-2]
    client.send(b"lo")
    assert replica().received == POST_FORWARDED


def test_get_with_a_body(client: Peer, replica: Callable[[], Peer], feed: Feeding) -> None:
    """A body that nobody expects is framed and forwarded all the same."""
    feed.request(client, POST.replace(b"POST", b"GET"))
    assert replica().received == POST_FORWARDED.replace(b"POST", b"GET")


def test_target_goes_on_untouched(client: Peer, replica: Callable[[], Peer]) -> None:
    """Path and query are the replica's business, byte for byte (RFC 9110 §7.7)."""
    target = b"//a/../%72ep;b?c=%0d%0aX:%20y&d=http://e#f"
    client.send(GET.replace(b"/home", target))
    assert replica().received.startswith(b"GET %b HTTP/1.1\r\n" % target)


def test_absolute_target(client: Peer, replica: Callable[[], Peer], feed: Feeding) -> None:
    """Its authority replaces Host, its path is the target (RFC 9112 §3.2.2)."""
    feed.request(client, GET.replace(b"/home", b"http://other:80/home"))
    assert replica().received == GET_FORWARDED.replace(b": lab", b": other:80")


def test_ids_decide_the_way(client: Peer, lab: Lab) -> None:
    """An integer is used as it is, any other text by its hash; both come back as they were."""
    for request_id in (b"132574", b"-7", b"cart-17", b"\xfc"):
        client.send(GET.replace(b": 1\r", b": %b\r" % request_id))
        hostname = lab.order(request_id)[0]
        assert b"X-Request-ID: %b\r\n" % request_id in lab.upstream(hostname).take()
        lab.upstream(hostname).send(OK)
        answer = client.take()
        assert b"X-Request-ID: %b\r\n" % request_id in answer
        assert b"X-Replica: %b\r\n" % hostname.encode() in answer


def test_an_id_is_given(client: Peer, lab: Lab) -> None:
    """A request without one gets six random digits, which decide its way and are told."""
    for _ in range(20):
        client.send(b"GET /home HTTP/1.1\r\nHost: lab\r\n\r\n")
        (upstream,) = (
            peer for peers in lab.connections.values() for peer in peers if peer.received
        )
        fields = dict(line.split(b": ") for line in upstream.take().splitlines()[1:-1])
        request_id = fields[b"X-Request-ID"]
        assert 100_000 <= int(request_id) <= 999_999
        assert upstream is lab.upstream(lab.order(request_id)[0])
        upstream.send(OK)
        assert b"X-Request-ID: %b\r\n" % request_id in client.take()


def test_clients_cannot_name_the_replica(client: Peer, replica: Callable[[], Peer]) -> None:
    """X-Replica is ours to say."""
    client.send(GET.replace(b"Host", b"X-Replica: Server9\r\nHost"))
    assert replica().received == GET_FORWARDED


# Several requests on one connection


def test_a_connection_is_kept(client: Peer, lab: Lab, replica: Callable[[], Peer]) -> None:
    """Twenty requests in turn take one connection on either side."""
    for _ in range(20):
        client.send(GET)
        replica().send(OK)
    assert client.statuses == [200] * 20
    assert client.is_open
    assert len(lab.connections[lab.order(b"1")[0]]) == 1


def test_pipelined_requests_are_answered_in_order(client: Peer, lab: Lab) -> None:
    """One after the other, though each has another replica (RFC 9112 §9.3.2)."""
    ids = [next(i for i in range(99) if lab.order(b"%d" % i)[0] == name) for name in lab.replicas]
    client.send(b"".join(GET.replace(b": 1\r", b": %d\r" % number) for number in ids))
    for name in lab.replicas:
        assert sum(map(len, lab.connections.values())) == int(name[-1])
        lab.upstream(name).send(ok(name.encode()))
    assert [client.received.index(b"\r\n\r\n" + name.encode()) for name in lab.replicas] == sorted(
        client.received.index(b"\r\n\r\n" + name.encode()) for name in lab.replicas
    )


def test_pipelined_body_waits_for_its_turn(client: Peer, replica: Callable[[], Peer]) -> None:
    """What comes behind an unanswered request reaches no replica before that is answered."""
    client.send(GET + POST)
    assert replica().take() == GET_FORWARDED
    replica().send(OK)
    assert replica().received == POST_FORWARDED
    replica().send(OK)
    assert client.statuses == [200, 200]


def test_a_long_pipeline_is_not_read(client: Peer, replica: Callable[[], Peer]) -> None:
    """Too many waiting requests stop the reading; each answer lets it go on."""
    number = Settings().max_pipelined_bytes // len(GET) + 5
    for _ in range(number):
        client.send(GET)
    assert not client.is_read
    for _ in range(number):
        replica().send(OK)
    assert client.is_read
    assert client.statuses == [200] * number


def test_nothing_is_read_behind_close(client: Peer, replica: Callable[[], Peer]) -> None:
    """After `Connection: close` the connection has seen its last request (RFC 9112 §9.6)."""
    client.send(GET.replace(b"Host", CLOSE + b"Host") + POST)
    assert replica().received == GET_FORWARDED
    replica().send(OK)
    assert client.statuses == [200]
    assert CLOSE in client.received
    assert client.saw_eof or not client.is_open
    assert replica().received == GET_FORWARDED


def test_an_error_waits_for_its_turn(client: Peer, replica: Callable[[], Peer]) -> None:
    """A malformed request is answered behind those before it, and ends the connection."""
    client.send(GET + b"nonsense\r\n\r\n")
    assert client.received == b""
    replica().send(OK)
    assert client.statuses == [200, 400]
    assert client.saw_eof


# HTTP/1.0


def test_http_1_0_client(client: Peer, replica: Callable[[], Peer], feed: Feeding) -> None:
    """It gets HTTP/1.1's answer without chunks, ended by the connection's end."""
    feed.request(client, GET.replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert replica().received == GET_FORWARDED
    replica().send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n")
    start, _, body = client.received.partition(b"\r\n\r\n")
    assert body == b"hi"
    assert b"chunked" not in start
    assert CLOSE in client.received
    assert client.saw_eof or not client.is_open


def test_http_1_0_keep_alive(client: Peer, replica: Callable[[], Peer]) -> None:
    """A client that asks for it, and whose answer has a length, may ask again."""
    for _ in range(2):
        client.send(GET.replace(b"HTTP/1.1", b"HTTP/1.0\r\nConnection: keep-alive"))
        replica().send(OK)
    assert client.statuses == [200, 200]
    assert client.received.count(b"Connection: keep-alive\r\n") == 2
    assert client.is_open


def test_http_1_0_without_host(client: Peer, replica: Callable[[], Peer]) -> None:
    """The replica is asked in HTTP/1.1, which needs a Host: our own address (RFC 9112 §3.3)."""
    client.send(b"GET /home HTTP/1.0\r\nX-Request-ID: 1\r\n\r\n")
    assert replica().received == GET_FORWARDED.replace(b": lab", b": 127.0.0.1:5050")


# Expect and Upgrade


def test_expect_continue(client: Peer, replica: Callable[[], Peer], feed: Feeding) -> None:
    """The client is told to go on; the replica never hears of it (RFC 9110 §10.1.1)."""
    client.send_byte_by_byte(POST[:-7] + b"Expect: 100-Continue\r\n\r\n")
    assert client.take() == b"HTTP/1.1 100 Continue\r\n\r\n"
    feed.request(client, b"hello")
    assert replica().received == POST_FORWARDED
    replica().send(OK)
    assert client.statuses == [200]


def test_expect_continue_waits_for_its_turn(client: Peer, replica: Callable[[], Peer]) -> None:
    """The interim answer to a second request must not land in the answer to the first."""
    client.send(GET + POST[:-7] + b"Expect: 100-continue\r\n\r\n")
    replica().send(OK[:-1])
    assert client.received.endswith(b"\r\n\r\nh")
    replica().send(OK[-1:])
    assert client.received.endswith(b"\r\n\r\nhiHTTP/1.1 100 Continue\r\n\r\n")


@pytest.mark.parametrize(
    "start", [b"POST / HTTP/1.0\r\nExpect: 100-continue", b"POST / HTTP/1.1\r\nExpect: coffee"]
)
def test_other_expectations_are_ignored(client: Peer, start: bytes) -> None:
    """HTTP/1.0 knows no interim answers, and nobody knows other expectations."""
    client.send(start + b"\r\nHost: lab\r\nContent-Length: 5\r\n\r\n")
    assert client.received == b""


def test_upgrade_is_ignored(client: Peer, replica: Callable[[], Peer], feed: Feeding) -> None:
    """A wish for another protocol is answered in this one (RFC 9110 §7.8): one answer each."""
    wish = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM\r\nHost"
    feed.request(client, GET.replace(b"Host", wish))
    assert replica().take() == GET_FORWARDED
    replica().send(OK)
    assert client.statuses == [200]
    if replica().received:  # the next one was behind it
        assert replica().received == GET_FORWARDED.replace(b"home", b"behind")


def test_upgrade_with_a_body_is_ignored(
    client: Peer, replica: Callable[[], Peer], feed: Feeding
) -> None:
    """A body belongs to this protocol; it goes on, and the wish does not."""
    wish = b"Connection: upgrade\r\nUpgrade: websocket\r\nHost"
    feed.request(client, POST.replace(b"Host", wish))
    assert replica().received == POST_FORWARDED


# Errors of our own


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: lab\r\n\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"CONNECT lab:443 HTTP/1.1\r\nHost: lab\r\n\r\n", 405),
        (b"TRACE / HTTP/1.1\r\nHost: lab\r\n\r\n", 405),
        (b"GET http:///home HTTP/1.1\r\nHost: lab\r\n\r\n", 400),
        (b"GET /%b HTTP/1.1\r\nHost: lab\r\n\r\n" % (b"a" * LIMITS.target_bytes), 414),
        (b"GET / HTTP/1.1\r\nHost: lab\r\n%b\r\n" % (b"X: y\r\n" * 101), 431),
        (b"GET / HTTP/1.1\r\nHost: lab\r\nX: %b\r\n\r\n" % (b"a" * LIMITS.head_bytes), 431),
    ],
)
def test_refused_requests(
    client: Peer, lab: Lab, feed: Feeding, request_: bytes, status: int
) -> None:
    """One answer in the contract's shape, `close`, our half closed; no replica hears of it."""
    feed.request(client, request_)
    assert client.statuses == [status]
    assert CLOSE in client.received
    assert b'"status": "failure"' in client.received
    assert client.saw_eof
    assert not lab.connections


def test_a_target_of_8000_octets_passes(client: Peer, replica: Callable[[], Peer]) -> None:
    """RFC 9112 §3 wants as much."""
    target = b"/" + b"a" * 7999
    client.send(GET.replace(b"/home", target))
    assert target in replica().received


def test_endless_heads_are_cut(client: Peer, feed: Feeding) -> None:
    """A head without an end is refused when it is too large, whatever it consists of."""
    client.send(b"GET / HTTP/1.1\r\nHost: lab\r\nX: ")
    for _ in range(LIMITS.head_bytes // 1024 + 1):
        client.send(b"a" * 1024)
    assert client.statuses == [431]


def test_a_head_is_not_blamed_for_what_came_before(
    client: Peer, replica: Callable[[], Peer]
) -> None:
    """The beginning of a head may come in one read with a body larger than any head may be."""
    body = b"a" * (LIMITS.head_bytes + 1)
    long_post = POST.replace(b": 5\r\n\r\nhello", b": %d\r\n\r\n" % len(body)) + body
    client.send(long_post + GET[:20])
    client.send(GET[20:])
    replica().send(OK)
    replica().send(OK)
    assert client.statuses == [200, 200]


@pytest.mark.parametrize("overhead", [b"0\r\nX: ", b"0\r\n", b"5;"])
def test_endless_overhead_of_chunks_is_cut(
    client: Peer, replica: Callable[[], Peer], overhead: bytes
) -> None:
    """Trailers and chunk extensions, which we only throw away, have a head's limit together."""
    client.send(CHUNKED_HEAD + b"2\r\nhi\r\n" + overhead)
    filling = b"X: y\r\n" * 200 if overhead == b"0\r\n" else b"a" * 1200
    for _ in range(LIMITS.head_bytes // 1200 + 2):
        client.send(filling)
    assert client.statuses == [431]
    assert not replica().is_open
    assert b"0\r\n\r\n" not in replica().received


def test_many_small_chunks_pass(client: Peer, replica: Callable[[], Peer]) -> None:
    """A body that trickles has more overhead than body, and is not cut for that."""
    client.send(CHUNKED_HEAD)
    for _ in range(LIMITS.head_bytes // 6 + 100):
        client.send(b"1\r\na\r\n")
    client.send(b"0\r\n\r\n")
    replica().send(OK)
    assert client.statuses == [200]


def test_broken_body_ends_both(client: Peer, feed: Feeding) -> None:
    """A body that breaks off its framing is refused, and the replica's request never ends."""
    feed.request(client, CHUNKED_HEAD + b"5\r\nhelloXX")
    assert client.statuses == [400]
    assert client.saw_eof
    for replica_ in client.lab.connections[client.lab.order(b"1")[0]]:  # none, if it came at once
        assert replica_.was_cut or not replica_.received
        assert b"0\r\n\r\n" not in replica_.received


def test_a_broken_body_behind_an_answer_cuts(client: Peer, replica: Callable[[], Peer]) -> None:
    """When an answer is under way there is no place for a second one."""
    client.send(CHUNKED_HEAD)
    replica().send(OK[:-1])
    client.send(b"nonsense")
    assert client.was_cut
    assert client.statuses == [200]


# Slow clients, idle clients, clients that leave


def test_idle_connections_end(make_lab: Callable[..., Lab]) -> None:
    """Without a word, after the first seconds or after an answer."""
    lab = make_lab(head_timeout_s=10, idle_timeout_s=75)
    silent, served = lab.client(), lab.client()
    served.send(GET)
    lab.upstream(lab.order(b"1")[0]).send(OK)
    lab.advance(9.9)
    assert silent.is_open
    lab.advance(0.5)
    assert (silent.is_open, silent.received) == (False, b"")
    lab.advance(64)
    assert served.is_open
    lab.advance(1)
    assert not served.is_open


@pytest.mark.parametrize("before", [b"", GET], ids=["first", "after another"])
def test_a_dripping_head_is_cut(lab: Lab, client: Peer, before: bytes) -> None:
    """The time for a head is counted from its first byte, not from its last."""
    client.send(before)
    if before:
        lab.upstream(lab.order(b"1")[0]).send(OK)
        client.take()
    for octet in GET[:10]:
        client.send(bytes([octet]))
        lab.advance(1.1)
    assert client.statuses == [408]
    assert client.saw_eof


def test_a_dripping_head_behind_an_unanswered_request_is_cut(lab: Lab, client: Peer) -> None:
    """Also when its beginning came together with another request."""
    client.send(GET + GET[:10])
    lab.upstream(lab.order(b"1")[0]).send(OK)
    lab.advance(11)
    assert client.statuses == [200, 408]


def test_half_a_head_does_not_cut_the_answer_before_it(lab: Lab, client: Peer) -> None:
    """Its time begins when it does, however long the request before it has waited."""
    client.send(GET)
    lab.advance(9)
    client.send(GET[:10])
    lab.advance(2)
    lab.upstream(lab.order(b"1")[0]).send(OK)
    client.send(GET[10:])
    lab.upstream(lab.order(b"1")[0]).send(OK)
    assert client.statuses == [200, 200]


def test_empty_lines_buy_no_time(lab: Lab, client: Peer) -> None:
    """The time for a head begins with the first of them; nobody is told, for nobody has asked."""
    for _ in range(6):
        client.send(b"\r\n")
        lab.advance(2)
    assert client.received == b""
    assert not client.is_open


def test_empty_lines_have_an_end(lab: Lab, client: Peer) -> None:
    """More bytes of them than a head may have are no request."""
    client.send(b"\r\n" * 17_000)
    assert client.statuses == [431]


@pytest.mark.parametrize("num_bytes", [9_000, 200_000])
def test_a_line_without_end_is_too_long(client: Peer, num_bytes: int) -> None:
    """414, however much of it comes at once."""
    client.send(b"GET /" + b"a" * num_bytes)
    assert client.statuses == [414]


def test_a_refused_head_gets_no_body(client: Peer) -> None:
    """HEAD is HEAD, also behind an empty line."""
    client.send(b"\r\nHEAD /home HTTP/1.1\r\n\r\n")
    assert client.statuses == [400]
    assert client.received.endswith(b"\r\n\r\n")


def test_what_is_not_served_says_what_is(client: Peer) -> None:
    """405 with Allow (RFC 9110 §15.5.6)."""
    client.send(b"TRACE / HTTP/1.1\r\nHost: lab\r\n\r\n")
    assert client.statuses == [405]
    assert b"\r\nAllow: GET, HEAD, POST" in client.received


def test_a_body_may_take_its_time(lab: Lab, client: Peer, replica: Callable[[], Peer]) -> None:
    """Each 5 kB buy the next ten seconds; a client that sends fewer is told so, 408."""
    client.send(POST[:-5].replace(b": 5\r\n", b": 30000\r\n"))
    for _ in range(4):
        lab.advance(9)
        client.send(bytes(5000))
    assert client.received == b""
    client.send(bytes(4999))
    lab.advance(10.5)
    assert client.statuses == [408]
    assert replica().was_cut


def test_a_dripping_body_is_cut(lab: Lab, client: Peer) -> None:
    """A byte now and then buys no time."""
    client.send(POST[:-5])
    for octet in b"hell":
        client.send(bytes([octet]))
        lab.advance(3)
    assert client.statuses == [408]


def test_a_minimum_of_nothing(make_lab: Callable[..., Lab]) -> None:
    """Then each piece buys the next ten seconds, however short it is."""
    lab = make_lab(min_body_rate=0)
    client = lab.client()
    client.send(POST[:-5])
    for octet in b"hell":
        lab.advance(9)
        client.send(bytes([octet]))
    assert client.received == b""
    lab.advance(10.5)
    assert client.statuses == [408]


def test_a_body_that_we_do_not_read_is_not_late(lab: Lab, client: Peer) -> None:
    """Its time begins when the replica, which was slow, takes more."""
    client.send(POST.replace(b": 5\r\n", b": 99\r\n"))
    replica = lab.upstream(lab.order(b"1")[0])
    replica.stop_reading()
    client.send(b"more")
    for _ in range(6):
        lab.advance(3)
    assert not client.is_read
    replica.read_on()
    lab.advance(9)
    assert client.received == b""
    lab.advance(1.5)
    assert client.statuses == [408]


def test_slow_replicas_are_not_blamed_on_clients(lab: Lab, client: Peer) -> None:
    """A client that waits for its answer, or that we do not read, is not late."""
    client.send(GET)
    lab.advance(11)
    assert client.is_open
    lab.upstream(lab.order(b"1")[0]).send(OK)
    lab.upstream(lab.order(b"1")[0]).stop_reading()
    client.send(POST.replace(b": 5\r\n", b": 99\r\n"))
    assert not client.is_read
    lab.advance(11)
    assert (client.statuses, client.is_open) == ([200], True)


def test_lingering_ends(lab: Lab, client: Peer) -> None:
    """After an error, what still comes is read and thrown away for a while, then cut."""
    client.send(b"nonsense\r\n\r\n")
    client.send(b"more")
    assert (client.statuses, client.was_cut) == ([400], False)
    lab.advance(LINGER_S + 0.3)
    assert client.was_cut


def test_lingering_has_a_limit(client: Peer) -> None:
    """Nobody needs megabytes to notice that nobody listens."""
    client.send(b"nonsense\r\n\r\n")
    for _ in range(LINGER_BYTES // 65_536 + 1):
        client.send(b"a" * 65_536)
    assert client.was_cut


def test_a_client_that_closes_its_half_gets_its_answer(
    client: Peer, replica: Callable[[], Peer]
) -> None:
    """And the connection ends with it: no further request can come."""
    client.send(GET)
    client.half_close()
    replica().send(OK)
    assert client.statuses == [200]
    assert client.saw_eof or not client.is_open


def test_a_last_request_may_end_with_its_half(client: Peer, replica: Callable[[], Peer]) -> None:
    """`Connection: close` and a closed half at once is what simple clients send."""
    client.send(GET.replace(b"Host", CLOSE + b"Host"))
    client.half_close()
    replica().send(OK)
    assert client.statuses == [200]


def test_a_client_that_leaves_takes_its_request_along(
    client: Peer, lab: Lab, replica: Callable[[], Peer]
) -> None:
    """The replica is cut off, and nobody is suspected."""
    client.send(GET)
    client.reset()
    assert not replica().is_open
    assert (lab.evidence, lab.server.num_clients) == ([], 0)


def test_half_a_request_is_cut_at_the_replica(client: Peer, replica: Callable[[], Peer]) -> None:
    """A body that ends early must not look complete."""
    client.send(POST[:-1])
    client.close()
    assert replica().was_cut


def test_a_connection_that_is_never_read_ends(lab: Lab, client: Peer) -> None:
    """A client that does not fetch its answer cannot keep the connection for ever."""
    client.send(GET)
    client.stop_reading()
    lab.upstream(lab.order(b"1")[0]).send(OK)
    lab.advance(76)
    lab.advance(1)
    assert client.is_lost


def test_a_last_answer_may_be_read_slowly(lab: Lab, client: Peer) -> None:
    """Closing does not cut what is on its way, even if the replica took its time."""
    client.send(GET.replace(b"Host", CLOSE + b"Host"))
    lab.advance(20)
    client.stop_reading()
    lab.upstream(lab.order(b"1")[0]).send(OK)
    lab.advance(20)
    assert not client.was_cut
    client.read_on()
    assert client.is_lost
