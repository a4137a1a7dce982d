"""Heartbeats: what real servers of every kind teach, and when they are asked."""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from load_balancer.events import EventLog
from load_balancer.health import Evidence, State, Thresholds
from load_balancer.heartbeats import Heartbeats
from load_balancer.membership import Member, Membership
from load_balancer.routing import Replica
from load_balancer.settings import Address, Settings

from ring import PRESETS, SlotRing

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
TIMES = {
    "heartbeat_interval_s": 0.02,
    "heartbeat_timeout_s": 0.2,
    "heartbeat_connect_timeout_s": 0.1,
}


@asynccontextmanager
async def server(serve: Serve, port: int = 0) -> AsyncIterator[Address]:
    """A server, by default on a port of its own; whom it still serves in the end is cut off."""
    tasks: set[asyncio.Task[Any]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(OSError, asyncio.CancelledError):
            await serve(reader, writer)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    listening = await asyncio.start_server(connected, "127.0.0.1", port)
    try:
        yield listening.sockets[0].getsockname()
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)


def answering(answer: bytes) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    return serve


async def hanging(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def closing_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def resetting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()


class Lab:
    """Membership with heartbeats, and what they told it."""

    def __init__(self, **settings: Any) -> None:
        self.membership = Membership(SlotRing(PRESETS["assignment"]), Thresholds(2, 2), EventLog())
        self.heartbeats = Heartbeats(self.membership, Settings(**(TIMES | settings)))
        self.membership.observers.append(self.heartbeats)
        self.learnt: list[tuple[Replica, Evidence]] = []
        self._changed = asyncio.Event()
        learn = self.membership.learn

        def recorded(replica: Replica, evidence: Evidence, **times: Any) -> None:
            self.learnt.append((replica, evidence))
            learn(replica, evidence, **times)
            self._changed.set()

        self.membership.learn = recorded  # type: ignore[method-assign]

    def start(self, address: Address) -> Member:
        (member,) = self.membership.reserve(["Server1"])
        self.membership.start(member, address)
        self.membership.join([member])
        return member

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


def run(story: Callable[[Lab], Coroutine[Any, Any, None]], **settings: Any) -> None:
    async def whole() -> None:
        lab = Lab(**settings)
        try:
            await story(lab)
        finally:
            await lab.heartbeats.close()

    asyncio.run(whole())


@pytest.mark.parametrize(
    ("serve", "expected"),
    [
        (answering(OK), Evidence.ANSWERED),
        (answering(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"), Evidence.ANSWERED),
        (
            answering(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n"),
            Evidence.ANSWERED,
        ),
        (answering(b"HTTP/1.0 200 OK\r\n\r\nfine"), Evidence.ANSWERED),
        (answering(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"), Evidence.MISSED),
        (answering(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"), Evidence.MISSED),
        (answering(b"HTTP/1.1 421 No\r\nContent-Length: 0\r\n\r\n"), Evidence.REFUSED),
        (answering(b"SSH-2.0-OpenSSH_9.2\r\n"), Evidence.MISSED),
        (hanging, Evidence.MISSED),
        (closing_at_once, Evidence.REFUSED),
        (resetting, Evidence.REFUSED),
    ],
    ids=[
        "200",
        "404",
        "302",
        "HTTP-1.0",
        "500",
        "503",
        "421",
        "SSH",
        "hanging",
        "closing",
        "reset",
    ],
)
def test_evidence(serve: Serve, expected: Evidence) -> None:
    """Any answer below 500 is one; silence and nonsense are misses; a broken connection refuses."""

    async def story(lab: Lab) -> None:
        async with server(serve) as address:
            lab.start(address)
            await lab.until(lambda: lab.learnt)
        assert lab.learnt[0][1] is expected

    run(story)


def test_nobody_listens(free_port: Callable[[], int]) -> None:
    """A refused connection refuses."""

    async def story(lab: Lab) -> None:
        lab.start(("127.0.0.1", free_port()))
        await lab.until(lambda: lab.learnt)
        assert lab.learnt[0][1] is Evidence.REFUSED

    run(story)


def test_nobody_accepts() -> None:
    """An address that opens no connection is silent like a frozen one, found out sooner."""

    async def story(lab: Lab) -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
            address = full.getsockname()
            with socket.create_connection(address):  # the only place in its queue
                lab.start(address)
                await lab.until(lambda: lab.learnt)
        assert lab.learnt[0][1] is Evidence.MISSED

    run(story)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS])
def test_our_own_shortage_is_no_evidence(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replica must not die because we are out of descriptors."""

    async def story(lab: Lab) -> None:
        tries = 0
        enough = asyncio.Event()

        async def fail(*_: Any, **__: Any) -> Any:
            nonlocal tries
            tries += 1
            if tries > 5:
                enough.set()
            raise OSError(number, "shortage")

        async with server(answering(OK)) as address:
            member = lab.start(address)
            await lab.until(lambda: member.health.state is State.ALIVE)
            monkeypatch.setattr("asyncio.open_connection", fail)
            await asyncio.wait_for(enough.wait(), 10)
        assert {evidence for _, evidence in lab.learnt} == {Evidence.ANSWERED}
        assert member.health.state is State.ALIVE

    run(story)


def test_the_request() -> None:
    """GET of the path that the settings say, with Host and the replica's name, and on a connection
    of its own."""
    heads: list[bytes] = []

    async def story(lab: Lab) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(OK)
            heads.append(await reader.read())

        async with server(serve) as address:
            lab.start(address)
            await lab.until(lambda: len(lab.learnt) > 1)
            host = "{}:{}".format(*address).encode()
        assert heads[0].startswith(b"GET /alive?a HTTP/1.1\r\nHost: " + host)
        assert b"\r\nX-Replica: Server1\r\n" in heads[0]
        assert b"" in heads

    run(story, heartbeat_path="/alive?a")


def test_they_are_sent_by_the_clock() -> None:
    """A hung replica dies after `fall` intervals and one timeout, not after `fall` timeouts."""

    async def story(lab: Lab) -> None:
        hung = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            if hung.is_set():
                await asyncio.Event().wait()
            writer.write(OK)

        async with server(serve) as address:
            member = lab.start(address)
            await lab.until(lambda: member.health.state is State.ALIVE)
            hung.set()
            started = time.monotonic()
            await lab.until(lambda: member.health.state is State.DEAD)
        assert 0.5 <= time.monotonic() - started < 0.95

    run(story, heartbeat_timeout_s=0.5, heartbeat_interval_s=0.05)


def test_a_suspect_is_asked_at_once(free_port: Callable[[], int]) -> None:
    """Not when the clock says so: a crash is known within milliseconds of the first refusal."""

    async def story(lab: Lab) -> None:
        async with server(answering(OK)) as address:
            member = lab.start(address)
            await lab.until(lambda: member.health.state is State.ALIVE)
        assert member.replica is not None
        started = time.monotonic()
        lab.membership.learn(member.replica, Evidence.REFUSED)
        await lab.until(lambda: member.health.state is State.DEAD)
        assert time.monotonic() - started < 2

    run(story, heartbeat_interval_s=5)


def test_a_replica_that_starts_is_asked_often(free_port: Callable[[], int]) -> None:
    """Somebody waits for it; a long interval counts from its first answer on."""

    async def story(lab: Lab) -> None:
        port = free_port()
        member = lab.start(("127.0.0.1", port))
        await lab.until(lambda: len(lab.learnt) > 1)
        async with server(answering(OK), port):
            await asyncio.wait_for(member.answers.wait(), 2)

    run(story, heartbeat_interval_s=5)


def test_a_life_that_is_over_is_not_asked() -> None:
    """Neither the one before a replacement, nor that of a member that has left."""

    async def story(lab: Lab) -> None:
        async with server(answering(OK)) as address:
            member = lab.start(address)
            old = member.replica
            await lab.until(lambda: lab.learnt)
            new = lab.membership.start(member, address)
            await lab.until(lambda: len([each for each, _ in lab.learnt if each is new]) > 3)
            lab.learnt.clear()
            await lab.until(lambda: len(lab.learnt) > 3)
            assert old not in [each for each, _ in lab.learnt]
            lab.membership.remove(["Server1"])
            async with asyncio.timeout(10):
                while lab.heartbeats._wake:
                    await asyncio.sleep(0.01)

    run(story)


def test_closing_while_somebody_is_suspect() -> None:
    """A heartbeat that was asked for at the same moment does not keep it open."""

    async def story() -> None:
        async with server(hanging) as address:
            lab = Lab(heartbeat_interval_s=60, heartbeat_timeout_s=60)
            replica = lab.start(address).replica
            assert replica is not None
            await asyncio.sleep(0.01)
            lab.heartbeats.ask_now(replica)
            async with asyncio.timeout(5):
                await lab.heartbeats.close()

    asyncio.run(story())


def test_closing_leaves_nothing_behind() -> None:
    """No task, no connection, though a heartbeat hangs."""

    async def story() -> None:
        async with server(hanging) as address:
            lab = Lab(heartbeat_timeout_s=60)
            lab.start(address)
            await asyncio.sleep(0)
            await lab.heartbeats.close()
            names = {task.get_coro().__qualname__ for task in asyncio.all_tasks()}
            assert not [name for name in names if name.startswith("Heartbeats")]

    asyncio.run(story())
