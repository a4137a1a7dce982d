"""One request's tries: where it goes next, when it may, and what the client is told."""

from __future__ import annotations

import errno
import json
from typing import TYPE_CHECKING

import pytest
from load_balancer.health import Evidence
from load_balancer.proxy.exchange import MAX_REPLAYED_BYTES
from load_balancer.proxy.retry_budget import FLOOR, TICKS

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Feeding, Lab, Peer

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
IDEMPOTENT_METHODS = [b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"]
OTHER_METHODS = [b"POST", b"PATCH", b"BREW"]


@pytest.fixture
def client(lab: Lab) -> Peer:
    return lab.client()


@pytest.fixture
def order(lab: Lab) -> tuple[str, ...]:
    """Failover order of the request id that `request` uses."""
    return lab.order(b"1")


def request(method: bytes, body: bytes = b"") -> bytes:
    framing = b"Content-Length: %d\r\n" % len(body) if body else b""
    return b"%b /home HTTP/1.1\r\nHost: lab\r\nX-Request-ID: 1\r\n%b\r\n%b" % (
        method,
        framing,
        body,
    )


def error(client: Peer) -> str:
    """The message of the one answer, in the contract's shape."""
    answer = json.loads(client.received.partition(b"\r\n\r\n")[2])
    assert answer["status"] == "failure"
    return answer["message"]


# Nothing was sent: any request goes on


@pytest.mark.parametrize("method", [*IDEMPOTENT_METHODS, *OTHER_METHODS])
def test_refused_connections_cost_nothing(
    client: Peer, lab: Lab, order: tuple[str, ...], feed: Feeding, method: bytes
) -> None:
    """Whatever the method, the next replica clockwise answers, and says that it did."""
    lab.refuse(order[0])
    feed.request(client, request(method, b"hello"))
    assert lab.upstream(order[1]).received.endswith(b"\r\n\r\nhello")
    lab.upstream(order[1]).send(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert client.statuses == [204]
    assert b"X-Replica: %b\r\n" % order[1].encode() in client.received
    assert set(lab.evidence) == {(order[0], Evidence.REFUSED)}


def test_connecting_takes_no_longer_than_its_timeout(
    client: Peer, lab: Lab, order: tuple[str, ...]
) -> None:
    """An address that does not answer counts as one that refuses."""
    lab.unreachable.add(order[0])
    client.send(request(b"POST", b"hello"))
    assert not lab.connections
    lab.advance(2.01)
    assert lab.upstream(order[1]).received.endswith(b"\r\n\r\nhello")
    assert lab.evidence == [(order[0], Evidence.REFUSED)]


def test_a_body_that_came_meanwhile_goes_on(client: Peer, lab: Lab, order: tuple[str, ...]) -> None:
    """However large it is, as long as nothing of it was sent."""
    lab.unreachable.add(order[0])
    body = b"a" * (MAX_REPLAYED_BYTES + 1)
    client.send(request(b"POST", body))
    lab.advance(2.01)
    assert lab.upstream(order[1]).received.endswith(body)


def test_all_refuse(client: Peer, lab: Lab, order: tuple[str, ...]) -> None:
    """Three tries, each on another replica; then 502 names the last."""
    lab.refuse(*order)
    client.send(request(b"GET"))
    assert [hostname for hostname, _ in lab.evidence] == list(order)
    assert client.statuses == [502]
    assert error(client) == f"<Error> {order[2]} refused the connection"
    assert client.is_open


def test_tries_have_a_limit(make_lab: Callable[..., Lab]) -> None:
    """max_attempts replicas at most, however many there are."""
    lab = make_lab(max_attempts=2)
    lab.refuse(*lab.replicas)
    client = lab.client()
    client.send(request(b"GET"))
    assert len(lab.evidence) == 2
    assert client.statuses == [502]


def test_only_replicas_in_service_are_tried(client: Peer, lab: Lab, order: tuple[str, ...]) -> None:
    """The table of the moment decides, not the one at the request's beginning."""
    client.send(request(b"GET"))
    lab.serve(order[0], order[2])
    lab.upstream(order[0]).reset()
    lab.upstream(order[2]).send(OK)
    assert client.statuses == [200]
    assert order[1] not in lab.connections


# It was sent: only what is idempotent goes on


@pytest.mark.parametrize("method", IDEMPOTENT_METHODS)
@pytest.mark.parametrize("end", ["reset", "close"])
def test_idempotent_requests_are_sent_again(
    client: Peer, lab: Lab, order: tuple[str, ...], method: bytes, end: str
) -> None:
    """Once the connection breaks without an answer, on another replica, body and all."""
    client.send(request(method, b"hello"))
    sent = lab.upstream(order[0]).received
    getattr(lab.upstream(order[0]), end)()
    assert lab.upstream(order[1]).received == sent
    lab.upstream(order[1]).send(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert client.statuses == [204]
    assert lab.evidence == [(order[0], Evidence.REFUSED)]


@pytest.mark.parametrize("method", OTHER_METHODS)
@pytest.mark.parametrize("end", ["reset", "close"])
def test_other_requests_are_never_sent_twice(
    client: Peer, lab: Lab, order: tuple[str, ...], method: bytes, end: str
) -> None:
    """The replica may have done it already (RFC 9110 §9.2.2): 502 instead."""
    client.send(request(method, b"hello"))
    getattr(lab.upstream(order[0]), end)()
    assert list(lab.connections) == [order[0]]
    assert client.statuses == [502]
    assert error(client) == f"<Error> {order[0]} closed the connection without an answer"


def test_half_an_answer_is_sent_again(client: Peer, lab: Lab, order: tuple[str, ...]) -> None:
    """As long as nothing of its body is there, the client has seen nothing of it."""
    for half in (OK[:20], OK[:-2]):
        client.send(request(b"GET"))
        lab.upstream(order[0]).send(half)
        assert client.received == b""
        lab.upstream(order[0]).reset()
        lab.upstream(order[1]).send(OK.replace(b"hi", b"ok"))
        assert client.statuses == [200]
        assert client.take().endswith(b"ok")


def test_half_an_answer_to_a_post(client: Peer, lab: Lab, order: tuple[str, ...]) -> None:
    """It is not sent again; the client gets an error that it can read."""
    client.send(request(b"POST", b"hello"))
    lab.upstream(order[0]).send(OK[:-2])
    lab.upstream(order[0]).reset()
    assert client.statuses == [502]
    assert list(lab.connections) == [order[0]]


def test_interim_answers_do_not_bind(client: Peer, lab: Lab, order: tuple[str, ...]) -> None:
    """After 103, which the client has seen, another replica may still give the answer."""
    client.send(request(b"GET"))
    lab.upstream(order[0]).send(b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n")
    lab.upstream(order[0]).reset()
    lab.upstream(order[1]).send(OK)
    assert client.statuses == [103, 200]


@pytest.mark.parametrize("first_bytes", [100, MAX_REPLAYED_BYTES + 1000])
def test_a_large_body_is_not_kept(
    client: Peer, lab: Lab, order: tuple[str, ...], first_bytes: int
) -> None:
    """An idempotent request whose body is beyond what we keep cannot be repeated: 502."""
    whole = request(b"GET", b"a" * (MAX_REPLAYED_BYTES + 1))
    client.send(whole[:first_bytes])
    client.send(whole[first_bytes:])
    lab.upstream(order[0]).reset()
    assert client.statuses == [502]
    assert list(lab.connections) == [order[0]]


def test_a_body_is_kept_up_to_the_limit(client: Peer, lab: Lab, order: tuple[str, ...]) -> None:
    """So far it can."""
    whole = request(b"GET", b"a" * MAX_REPLAYED_BYTES)
    client.send(whole[:100])
    client.send(whole[100:])
    lab.upstream(order[0]).reset()
    assert lab.upstream(order[1]).received == lab.upstream(order[0]).received


def test_a_body_that_is_still_coming_follows(
    client: Peer, lab: Lab, order: tuple[str, ...]
) -> None:
    """What was sent to the first replica is sent again, and the rest goes to the second."""
    whole = request(b"GET", b"hello")
    client.send(whole[:-2])
    lab.upstream(order[0]).reset()
    client.send(whole[-2:])
    assert lab.upstream(order[1]).received.endswith(b"\r\n\r\nhello")


def test_retries_have_a_budget(make_lab: Callable[..., Lab]) -> None:
    """A share of the answers of the last 10 s, and 100 besides; beyond it, 502. Connections that
    are refused cost nothing, and are tried elsewhere all the same."""
    lab = make_lab(retry_share=0.5, response_timeout_s=60)
    first, second, _ = lab.order(b"1")
    client = lab.client()

    def lose_one() -> list[int]:
        client.received = b""
        client.send(request(b"GET"))
        lab.upstream(first).reset()
        if not client.statuses:
            lab.upstream(second).send(OK)
        return client.statuses

    assert [[200]] * FLOOR == [lose_one() for _ in range(FLOOR)]
    assert lose_one() == [502]
    lab.advance(0.3)  # the answers so far are counted
    assert [[200]] * (FLOOR // 2) == [lose_one() for _ in range(FLOOR // 2)]
    assert lose_one() == [502]
    for _ in range(TICKS + 1):
        lab.advance(0.3)
    assert lose_one() == [200]
    for _ in range(FLOOR):
        lose_one()
    assert lose_one() == [502]
    lab.refuse(first)
    client.send(request(b"POST", b"hello"))
    assert lab.upstream(second).received.endswith(b"hello")


def test_the_dead_cost_no_budget(lab: Lab, order: tuple[str, ...]) -> None:
    """A frozen replica may hold more requests than the budget grants: when it is found dead, all of
    them go on, and so does what is lost after it."""
    clients = [lab.client() for _ in range(FLOOR)]
    for client in clients:
        client.send(request(b"GET"))
    for _ in clients[:-1]:
        assert lab.server.retry_budget.withdraw()
    lab.do(lambda: lab.server.cut(lab.replicas[order[0]]))
    for peer in lab.connections[order[1]]:
        peer.send(OK)
    assert [[200]] * FLOOR == [client.statuses for client in clients]
    assert lab.server.retry_budget.withdraw()


def test_silence_is_not_suspicious(client: Peer, lab: Lab, order: tuple[str, ...]) -> None:
    """A replica that does not answer in time is left to its heartbeats; the request goes on."""
    client.send(request(b"GET"))
    for hostname in order:
        lab.advance(30.3)
        assert not lab.upstream(hostname).is_open
    assert lab.evidence == []
    assert client.statuses == [504]
    assert error(client) == f"<Error> {order[2]} did not answer in time"


def test_silence_to_a_post(client: Peer, lab: Lab, order: tuple[str, ...]) -> None:
    """504 at once: it may have been done."""
    client.send(request(b"POST", b"hello"))
    lab.advance(30.3)
    assert (client.statuses, list(lab.connections)) == ([504], [order[0]])


@pytest.mark.parametrize(
    "answer",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: a\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: a\x00b\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 000 Nothing\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 099 Nothing\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n%b\r\n" % (b"X: y\r\n" * 101),
    ],
)
def test_malformed_answers(
    client: Peer, lab: Lab, order: tuple[str, ...], feed: Feeding, answer: bytes
) -> None:
    """What is no answer in HTTP/1.1 becomes 502, not a byte of it goes on."""
    client.send(request(b"POST", b"hello"))
    feed.answer(lab.upstream(order[0]), answer)
    assert client.statuses == [502]
    assert error(client) == f"<Error> {order[0]} answered something that is no HTTP/1.1"
    assert not lab.upstream(order[0]).is_open


# Nobody is there


def test_no_replica_alive(client: Peer, lab: Lab) -> None:
    """503 and when to come back; the connection stays, for it is nobody's fault."""
    lab.serve()
    client.send(request(b"GET") * 2)
    assert client.statuses == [503, 503]
    assert b"\r\nRetry-After: 1\r\n" in client.received
    assert b"X-Request-ID: 1\r\n" in client.received
    assert client.is_open


def test_no_replica_for_a_body(client: Peer, lab: Lab) -> None:
    """Answered before the body is there, and so the connection closes with it, announced."""
    lab.serve()
    client.send(request(b"POST", b"hello")[:-1])
    assert client.statuses == [503]
    assert b"Connection: close\r\n" in client.received
    assert client.saw_eof


def test_out_of_descriptors(client: Peer, lab: Lab, order: tuple[str, ...]) -> None:
    """Our own shortage is 503, and no replica is suspected for it."""
    for hostname in order:
        lab.connect_errors[hostname] = OSError(errno.EMFILE, "too many open files")
    client.send(request(b"POST", b"hello"))
    assert client.statuses == [503]
    assert "out of connections" in error(client)
    assert lab.evidence == []


# The contract's 400, and answers that pass


def test_unknown_paths(client: Peer, lab: Lab, order: tuple[str, ...], feed: Feeding) -> None:
    """A replica's 404 becomes the contract's 400, which names the path."""
    client.send(request(b"GET").replace(b"/home", b"/other?a=1"))
    feed.answer(lab.upstream(order[0]), b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone")
    assert client.statuses == [400]
    assert error(client) == "<Error> '/other' endpoint does not exist in server replicas"
    assert b"X-Replica: %b\r\n" % order[0].encode() in client.received
    assert client.is_open


def test_unknown_path_chunked_and_closed(
    client: Peer, lab: Lab, order: tuple[str, ...], feed: Feeding
) -> None:
    """However the 404 is framed, nothing of it goes on."""
    for answer in (
        b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngone\r\n0\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\n\r\ngone",
    ):
        client.send(request(b"GET"))
        lab.upstream(order[0]).send(answer)
        if b"chunked" not in answer:
            lab.upstream(order[0]).close()
        assert client.statuses == [400]
        assert b"gone" not in client.take()


def test_servers_of_somebody_elses_answer_as_they_like(make_lab: Callable[..., Lab]) -> None:
    """The assignment speaks of its replicas; where we manage none, a 404 is a 404."""
    lab = make_lab(replica=("Server1=127.0.0.1:7001",))
    client = lab.client()
    client.send(request(b"GET"))
    lab.upstream(lab.order(b"1")[0]).send(
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone"
    )
    assert client.statuses == [404]
    assert client.received.endswith(b"\r\n\r\ngone")


@pytest.mark.parametrize("status", [201, 301, 403, 405, 500, 503, 599, 600, 999])
def test_other_answers_pass(
    client: Peer, lab: Lab, order: tuple[str, ...], feed: Feeding, status: int
) -> None:
    """Whatever the status; an error of the replica's is an answer."""
    client.send(request(b"GET"))
    feed.answer(lab.upstream(order[0]), b"HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\nhi" % status)
    assert client.statuses == [status]
    assert client.received.endswith(b"\r\n\r\nhi")
    assert list(lab.connections) == [order[0]]


# Answers before their request is whole


def test_an_early_answer(client: Peer, lab: Lab, order: tuple[str, ...]) -> None:
    """It passes with `close`, for the rest of the body has nowhere to go (RFC 9112 §9.3)."""
    client.send(request(b"POST", b"hello")[:-1])
    lab.upstream(order[0]).send(OK)
    assert client.statuses == [200]
    assert b"Connection: close\r\n" in client.received
    assert client.saw_eof
    assert lab.upstream(order[0]).was_cut
    client.send(b"o" + request(b"GET"))
    assert client.statuses == [200]


def test_an_answer_that_grows_with_its_request(
    client: Peer, lab: Lab, order: tuple[str, ...]
) -> None:
    """An echo may begin before the request ends, and is complete when both are."""
    client.send(request(b"POST", b"hello")[:-2])
    lab.upstream(order[0]).send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")
    client.send(b"lo")
    lab.upstream(order[0]).send(b"lo")
    assert lab.upstream(order[0]).received.endswith(b"hello")
    assert client.received.endswith(b"hello")


def test_an_early_error_lets_the_body_come(client: Peer, lab: Lab) -> None:
    """The client may write its whole body before it reads that it was in vain."""
    lab.unreachable |= set(lab.replicas)
    client.send(request(b"POST", b"a" * 1_000_000)[:100_000])
    assert not client.is_read
    for _ in lab.replicas:
        lab.advance(2.01)
    assert client.statuses == [502]
    assert client.is_read


# The admin API


def test_admin_paths_go_to_the_admin_api(client: Peer, lab: Lab, feed: Feeding) -> None:
    """Whatever the id; the answer passes as it is, 404 included."""
    feed.request(client, request(b"DELETE", b'{"n": 1}').replace(b"/home", b"/rm?a"))
    assert lab.upstream("admin").received.startswith(b"DELETE /rm?a HTTP/1.1\r\n")
    lab.upstream("admin").send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}")
    assert client.statuses == [404]
    assert b"X-Replica" not in client.received


@pytest.mark.parametrize("path", [b"/rep/", b"/Rep", b"//rep", b"/%72ep", b"/x?/rep", b"/rep#x"])
def test_other_paths_go_to_replicas(client: Peer, lab: Lab, path: bytes) -> None:
    """The admin API has its paths, byte for byte, and no others."""
    client.send(request(b"GET").replace(b"/home", path))
    assert list(lab.connections) == [lab.order(b"1")[0]]


def test_bodies_have_a_limit_if_wanted(make_lab: Callable[..., Lab]) -> None:
    """One byte more than max_body_bytes is 413, announced or not."""
    lab = make_lab(max_body_bytes=5)
    client = lab.client()
    client.send(request(b"POST", b"hello"))
    lab.upstream(lab.order(b"1")[0]).send(OK)
    client.send(request(b"POST", b"hello!"))
    assert client.statuses == [200, 413]
    assert client.saw_eof


def test_options_may_end_here(client: Peer, lab: Lab) -> None:
    """Max-Forwards counts the hops of OPTIONS, and we are one (RFC 9110 §7.6.2)."""
    for hops, method in ((b"0", b"GET"), (b"1", b"OPTIONS"), (b"7", b"OPTIONS")):
        lab.ask(
            client, request(method).replace(b"\r\n\r\n", b"\r\nMax-Forwards: %b\r\n\r\n" % hops)
        ).send(OK)
    client.take()
    client.send(request(b"OPTIONS").replace(b"\r\n\r\n", b"\r\nMax-Forwards: 0\r\n\r\n"))
    assert client.statuses == [200]
    assert b"\r\nAllow: GET, " in client.received
    assert client.is_open


@pytest.mark.parametrize("body", ["known", "chunked"])
def test_admin_bodies_are_small(client: Peer, lab: Lab, body: str) -> None:
    """More than 64 KiB is 413, whether it is announced or comes in chunks."""
    start = b"POST /add HTTP/1.1\r\nHost: lab\r\n"
    if body == "known":
        client.send(start + b"Content-Length: 65537\r\n\r\n")
        assert not lab.connections
    else:
        client.send(start + b"Transfer-Encoding: chunked\r\n\r\n")
        client.send(b"10000\r\n" + b"a" * 65_536 + b"\r\n1\r\na\r\n0\r\n\r\n")
        assert lab.upstream("admin").was_cut
    assert client.statuses == [413]
    assert client.saw_eof


def test_the_admin_api_is_not_retried(client: Peer, lab: Lab) -> None:
    """There is one of it; without it, 502."""
    lab.refuse("admin")
    client.send(request(b"GET").replace(b"/home", b"/rep"))
    assert client.statuses == [502]
    assert error(client) == "<Error> the admin API refused the connection"
    assert lab.evidence == []
