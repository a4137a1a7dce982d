"""An independent judge: whatever the data plane emits, h11 parses, and to the same meaning.

Random requests and answers, valid and mutated, come whole, byte by byte and in lumps. What reaches
the replica and the client is read by h11. What h11 itself refuses must not have got through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h11
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import Lab

if TYPE_CHECKING:
    from .conftest import Peer

TOKEN = st.text("abcXYZ09-!~", min_size=1, max_size=8).map(str.encode)
VALUE = st.text('abc XYZ\t,;="/09\xe4', max_size=12).map(
    lambda text: text.strip().encode("latin-1")
)
OWN = [b"x-request-id", b"x-replica", b"via", b"connection", b"host", b"expect", b"upgrade", b"te"]
FIELDS = st.lists(st.tuples(TOKEN.filter(lambda name: name.lower() not in OWN), VALUE), max_size=5)
BODY = st.binary(max_size=40)
METHODS = st.sampled_from([b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"BREW"])
TARGETS = st.text("ab/?&%=.~", max_size=10).map(lambda text: b"/" + text.encode())
LUMPS = st.sampled_from([1, 2, 7, 64, 10_000])
# One octet for another, at any place: what mutates a message into another, or into none.
MUTATIONS = st.lists(
    st.tuples(st.integers(0, 400), st.sampled_from(list(b"\r\n\t :;,\x00\x0b\x7f\xff05aZ"))),
    max_size=2,
)


def framed(start: bytes, fields: list[tuple[bytes, bytes]], body: bytes, how: str) -> bytes:
    """A message, its body framed by its length, in chunks, or not at all."""
    lines = [start, *(b"%b: %b" % field for field in fields)]
    if how == "length":
        lines.append(b"Content-Length: %d" % len(body))
    elif how == "chunks":
        lines.append(b"Transfer-Encoding: chunked")
        pieces = [body[at : at + 7] for at in range(0, len(body), 7)]
        body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    else:
        body = b""
    return b"\r\n".join((*lines, b"", body))


def mutated(message: bytes, mutations: list[tuple[int, int]]) -> bytes:
    octets = bytearray(message)
    for at, octet in mutations:
        octets[at % len(octets)] = octet
    return bytes(octets)


def send(peer: Peer, data: bytes, lump: int) -> None:
    for start in range(0, len(data), lump):
        if peer.is_open:
            peer.send(data[start : start + lump])


def events(role: Any, data: bytes, *, method: bytes = b"GET") -> list[Any]:
    """What h11 reads, in `role`'s place; RemoteProtocolError if it is no HTTP/1.1."""
    connection = h11.Connection(role)
    if role is h11.CLIENT:
        connection.send(h11.Request(method=method, target="/", headers=[("Host", "lab")]))
        connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    read: list[Any] = []
    while (event := connection.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
        read.append(event)
        if isinstance(event, h11.ConnectionClosed):
            break
    return read


def body_of(read: list[Any]) -> bytes:
    return b"".join(bytes(event.data) for event in read if isinstance(event, h11.Data))


def values(headers: Any, names: list[bytes]) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in headers if name in names]


RANDOMLY = settings(
    max_examples=250,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@RANDOMLY
@given(METHODS, TARGETS, FIELDS, BODY, st.sampled_from(["length", "chunks", "none"]), LUMPS)
def test_requests_keep_their_meaning(
    method: bytes,
    target: bytes,
    fields: list[tuple[bytes, bytes]],
    body: bytes,
    how: str,
    lump: int,
) -> None:
    """Method, target, fields and body are for the replica what they were for us."""
    lab = Lab()
    client = lab.client()
    start = b"%b %b HTTP/1.1\r\nHost: lab\r\nX-Request-ID: 1" % (method, target)
    send(client, framed(start, fields, body, how), lump)
    read = events(h11.SERVER, lab.upstream(lab.order(b"1")[0]).received)
    lab.close()
    head = read[0]
    assert (head.method, head.target) == (method, target)
    assert body_of(read) == (b"" if how == "none" else body)
    assert isinstance(read[-1], h11.EndOfMessage)
    names = [name.lower() for name, _ in fields]
    assert values(head.headers, names) == [(name.lower(), value) for name, value in fields]


@RANDOMLY
@given(st.integers(200, 599).filter(lambda status: status not in (204, 304, 404)), FIELDS, BODY,
       st.sampled_from(["length", "chunks"]), LUMPS)  # fmt: skip
def test_answers_keep_their_meaning(
    status: int, fields: list[tuple[bytes, bytes]], body: bytes, how: str, lump: int
) -> None:
    """Status, fields and body are for the client what they were for us, once and once more."""
    lab = Lab()
    client = lab.client()
    for _ in range(2):  # the second answer may go on by comparison
        client.take()
        client.send(b"GET /home HTTP/1.1\r\nHost: lab\r\nX-Request-ID: 1\r\n\r\n")
        answer = framed(b"HTTP/1.1 %d X" % status, fields, body, how)
        send(lab.upstream(lab.order(b"1")[0]), answer, lump)
        read = events(h11.CLIENT, client.received)
        head = read[0]
        assert head.status_code == status
        assert body_of(read) == body
        assert isinstance(read[-1], h11.EndOfMessage)
        names = [name.lower() for name, _ in fields]
        assert values(head.headers, names) == [(name.lower(), value) for name, value in fields]
    lab.close()


@RANDOMLY
@given(METHODS, FIELDS, BODY, st.sampled_from(["length", "chunks"]), MUTATIONS, LUMPS)
def test_mutated_requests_are_sound_or_nowhere(
    method: bytes,
    fields: list[tuple[bytes, bytes]],
    body: bytes,
    how: str,
    mutations: list[tuple[int, int]],
    lump: int,
) -> None:
    """What reaches replicas is one request each that h11 can read, and whole requests only if
    h11 reads the original to the same body."""
    start = b"%b /home HTTP/1.1\r\nHost: lab\r\nX-Request-ID: 1" % method
    raw = mutated(framed(start, fields, body, how), mutations)
    lab = Lab()
    client = lab.client()
    send(client, raw, lump)
    for peer in (peer for peers in lab.connections.values() for peer in peers if peer.received):
        read = events(h11.SERVER, peer.received)
        assert isinstance(read[0], h11.Request)
        assert sum(isinstance(event, h11.Request) for event in read) == 1
        if isinstance(read[-1], h11.EndOfMessage):
            original = events(h11.SERVER, raw)
            assert body_of(read) == body_of(original)
    for answer in client.received.split(b"HTTP/1.1 ")[1:]:
        assert answer[:1] == b"4" or answer[:1] == b"5" or answer[:3] == b"100"
    lab.close()


@RANDOMLY
@given(FIELDS, BODY, st.sampled_from(["length", "chunks"]), MUTATIONS, LUMPS)
def test_mutated_answers_are_sound_or_errors(
    fields: list[tuple[bytes, bytes]],
    body: bytes,
    how: str,
    mutations: list[tuple[int, int]],
    lump: int,
) -> None:
    """What reaches the client can be read by h11, as far as it goes."""
    lab = Lab()
    client = lab.client()
    client.send(b"GET /home HTTP/1.1\r\nHost: lab\r\nX-Request-ID: 1\r\n\r\n")
    raw = mutated(framed(b"HTTP/1.1 200 OK", fields, body, how), mutations)
    lab.serve(lab.order(b"1")[0])
    replica = lab.upstream(lab.order(b"1")[0])
    send(replica, raw, lump)
    if replica.is_open:
        replica.close()
    read = events(h11.CLIENT, client.received)
    assert isinstance(read[0], h11.Response | h11.InformationalResponse)
    if not client.was_cut:
        assert isinstance(read[-1], h11.EndOfMessage | h11.ConnectionClosed)
    lab.close()
