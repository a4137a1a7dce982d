"""What control plane and followers may say, and what ends their connection."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from load_balancer import messages
from load_balancer.errors import BadMessage
from load_balancer.health import Evidence
from load_balancer.messages import (
    Counted,
    Happened,
    Hello,
    Here,
    Noticed,
    Refusal,
    Sampled,
    Serving,
    Welcome,
)
from load_balancer.proxy.pool import Stats


def stats(*statuses: int) -> Stats:
    made = Stats()
    for status in statuses:
        made.answered(status, 0.25)
    made.losses, made.retries = 2, 1
    return made


@pytest.mark.parametrize(
    "message",
    [
        Serving(version=3, in_flight={7: 2, 9: 1}),
        Noticed(life=7, evidence=Evidence.REFUSED),
        Noticed(life=7, evidence=None),
        Sampled(requests=[(2**80, "Server1"), (-7, "Server2")]),
        Happened(event="ejected", detail={"hostname": "Server1", "failures": 5, "for_s": 30.0}),
        Counted(
            replicas=messages.told({"Server1": stats(200, 404)}),
            ejections={"Server1": 1},
            num_clients=3,
        ),
    ],
    ids=lambda message: message.kind,
)
def test_what_followers_say(message: Any) -> None:
    """It arrives as it was said, in one line."""
    assert message.line.endswith(b"}\n")
    assert 1 == message.line.count(b"\n")
    assert message == messages.parse(message.line, messages.FROM_FOLLOWER)


@pytest.mark.parametrize(
    "message",
    [
        Welcome(admin_socket="/run/admin.sock", is_guarded=False, speaks_contract=True),
        Refusal(reason="token"),
        Here(),
        Here(wants_samples=True),
    ],
    ids=lambda message: message.kind,
)
def test_what_a_control_plane_says(message: Any) -> None:
    """Likewise; a snapshot has tests of its own."""
    assert message == messages.parse(message.line, messages.FROM_CONTROL_PLANE)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b"\n", "Invalid JSON"),
        (b"GET / HTTP/1.1\r\n", "Invalid JSON"),
        (b"\xff\xfe\n", "Invalid JSON"),
        (b"[" * 10_000 + b"\n", "Invalid JSON"),
        (b"7\n", "should be an object"),
        (b"{}\n", "discriminator"),
        (b'{"kind": "hello", "name": "a", "process": "b"}\n', "does not match"),
        (b'{"kind": "serving", "version": -1}\n', "serving.version"),
        (b'{"kind": "serving", "version": "1"}\n', "serving.version"),
        (b'{"kind": "serving", "version": 1, "more": 2}\n', "serving.more"),
        (b'{"kind": "serving", "version": 1, "in_flight": {"x": 1}}\n', "in_flight"),
        (b'{"kind": "noticed", "life": 1, "evidence": "magic"}\n', "evidence"),
        (b'{"kind": "happened", "event": "ring", "detail": {}}\n', "happened.event"),
        (b'{"kind": "happened", "event": "ejected", "detail": {"kind": "a"}}\n', "detail"),
        (
            b'{"kind": "counted", "replicas": {"a\\r\\nb": {}}, "ejections": {},'
            b' "num_clients": 0}\n',
            "replicas",
        ),
    ],
)
def test_what_followers_may_not_say(line: bytes, fault: str) -> None:
    """The error names the line's beginning, and what is wrong."""
    with pytest.raises(BadMessage) as caught:
        messages.parse(line, messages.FROM_FOLLOWER)
    assert str(caught.value).startswith(repr(line[:60]))
    assert fault in str(caught.value)


@pytest.mark.parametrize("name", ["", "a b", "a\nb", "x" * 101])
def test_a_name_is_short_and_printable(name: str) -> None:
    """It stands in logs, and as a label in /metrics."""
    line = Hello.model_construct(name=name, process="p").line
    with pytest.raises(BadMessage, match="name"):
        messages.parse(line, messages.HELLO)


def test_where_the_admin_api_is() -> None:
    """At the socket that is told, or at the told port of the host that is followed."""
    here = Welcome(admin_socket="/a.sock", is_guarded=False, speaks_contract=True)
    there = Welcome(admin_port=5050, is_guarded=False, speaks_contract=True)
    assert Path("/a.sock") == here.admin_at(Path("/f.sock"))
    assert ("10.0.0.7", 5050) == there.admin_at(("10.0.0.7", 5051))
    assert ("127.0.0.1", 5050) == there.admin_at(Path("/f.sock"))


def test_totals() -> None:
    """Each count is the sum, and nobody is connected any longer."""
    one = Counted(
        replicas=messages.told({"A": stats(200), "B": stats(500)}),
        ejections={"B": 2},
        num_clients=5,
    )
    total = messages.total([one, one])
    assert 0 == total.num_clients
    assert {"B": 4} == total.ejections
    assert {"A", "B"} == total.replicas.keys()
    assert [0, 0, 2, 0, 0, 0] == total.replicas["A"].answers
    assert (0.5, 4, 2) == (
        total.replicas["B"].latency_sum_s,
        total.replicas["B"].losses,
        total.replicas["B"].retries,
    )


def test_counters_of_another_histogram() -> None:
    """A follower of another version has buckets that cannot be added."""
    whole = messages.told({"A": stats(200)})["A"]
    short = whole.model_copy(update={"latency_counts": [0] * 3}).model_dump_json()
    line = b'{"kind": "counted", "replicas": {"A": %b}, "ejections": {}, "num_clients": 0}\n'
    with pytest.raises(BadMessage, match="latency_counts"):
        messages.parse(line % short.encode(), messages.FROM_FOLLOWER)


# From a stream


def read(data: bytes, *, ends: bool = True, limit: int = 100, within_s: float = 5.0) -> Any:
    async def feed() -> Any:
        reader = asyncio.StreamReader(limit=limit)
        reader.feed_data(data)
        if ends:
            reader.feed_eof()
        return await messages.read(reader, messages.FROM_CONTROL_PLANE, within_s)

    return asyncio.run(feed())


def test_the_next_line() -> None:
    """And no more than that."""
    assert Here() == read(Here().line + b"nonsense\n")


def test_an_end_within_a_line() -> None:
    """What is cut is nothing."""
    with pytest.raises(ConnectionResetError, match="hung up"):
        read(Here().line[:-1])


def test_a_line_without_an_end() -> None:
    """It is not gathered for ever."""
    with pytest.raises(BadMessage, match="longer"):
        read(b"x" * 1000, ends=False)


def test_silence() -> None:
    """It ends the connection, for who is there says so."""
    with pytest.raises(TimeoutError):
        read(b"", ends=False, within_s=0.0)
