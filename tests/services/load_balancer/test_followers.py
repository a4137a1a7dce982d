"""The control plane's side, before scripted followers: who gets which table, who is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from load_balancer import followers, messages
from load_balancer.data_planes import DataPlanes
from load_balancer.events import EventLog
from load_balancer.followers import Followers
from load_balancer.health import Evidence, Thresholds
from load_balancer.membership import Membership
from load_balancer.messages import (
    FROM_CONTROL_PLANE,
    Counted,
    Happened,
    Hello,
    Here,
    Noticed,
    Serving,
    Snapshot,
    Welcome,
)
from load_balancer.proxy.pool import Stats
from load_balancer.routing import Replica
from load_balancer.settings import Settings

from ring import PRESETS, SlotRing

TIMEOUT_S = 10


class Peer:
    """A follower's end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def say(self, message: messages.Message) -> None:
        self.writer.write(message.line)

    async def snapshot(self) -> Snapshot:
        """The next one."""
        while True:
            message = await messages.read(self.reader, FROM_CONTROL_PLANE, TIMEOUT_S)
            if isinstance(message, Snapshot):
                return message

    async def hang_up(self) -> None:
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()


class Lab:
    """Server1 and Server2 are alive; `noticed` and `events` are what followers have told."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "followers.sock"
        self.events = EventLog()
        self.membership = Membership(SlotRing(PRESETS["default"]), Thresholds(1, 1), self.events)
        self.noticed: list[tuple[Replica, Evidence | None]] = []
        self.sampler: Any = SimpleNamespace(is_looked_at=False)
        self.followers = Followers(
            self.membership,
            Settings(),
            folder / "admin.sock",
            self.sampler,
            lambda *evidence: self.noticed.append(evidence),
            self.events.record,
        )
        self.membership.observers.append(self.followers)
        self.replicas = self.add("Server1", "Server2")
        self._peers: list[Peer] = []

    def add(self, *hostnames: str) -> list[Replica]:
        members = self.membership.reserve(hostnames)
        self.membership.join(members)
        replicas = [self.membership.start(each, ("127.0.0.1", 1)) for each in members]
        for replica in replicas:
            self.membership.learn(replica, Evidence.ANSWERED)
        return replicas

    @property
    def version(self) -> int:
        return self.membership.table.version

    async def come(self, name: str = "test", process: str = "p1") -> Peer:
        peer = Peer(*await asyncio.open_unix_connection(str(self.path), limit=1 << 27))
        self._peers.append(peer)
        peer.say(Hello(name=name, process=process))
        welcome = await messages.read(peer.reader, FROM_CONTROL_PLANE, TIMEOUT_S)
        assert welcome == Welcome(
            admin_socket=str(self.path.with_name("admin.sock")),
            admin_port=5050,
            is_guarded=False,
            speaks_contract=True,
        )
        return peer

    async def until(self, condition: Callable[[], object]) -> None:
        while not condition():
            await asyncio.sleep(0.001)

    async def close(self) -> None:
        for peer in self._peers:
            await peer.hang_up()
        await self.followers.close()


Story = Callable[[Lab], Coroutine[Any, Any, None]]
Run = Callable[[Story], None]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    async def play(story: Story) -> None:
        lab = Lab(tmp_path)
        await lab.followers.listen(lab.path)
        try:
            async with asyncio.timeout(2 * TIMEOUT_S):
                await story(lab)
        finally:
            await lab.close()

    return lambda story: asyncio.run(play(story))


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is given up while a test looks on."""
    monkeypatch.setattr(followers, "SETTLING_S", 60.0)


def test_each_change_is_sent(run: Run) -> None:
    """The present table first; then the next ones; in between, that it is still the same."""

    async def story(lab: Lab) -> None:
        peer = await lab.come()
        first = await peer.snapshot()
        assert (lab.version, ["Server1", "Server2"]) == (
            first.version,
            [each.hostname for each in first.replicas if each.serves],
        )
        assert Here() == await messages.read(peer.reader, FROM_CONTROL_PLANE, TIMEOUT_S)
        lab.membership.remove(["Server1"])
        second = await peer.snapshot()
        assert (lab.version, ["Server2"]) == (
            second.version,
            [each.hostname for each in second.replicas],
        )
        assert {each.hostname: each.life for each in first.replicas}["Server2"] == (
            second.replicas[0].life
        )

    run(story)


def test_who_is_slow_skips_some(run: Run) -> None:
    """What it gets at last is the newest, and what it never got was never kept for it."""

    async def story(lab: Lab) -> None:
        lab.add(*(f"S{number}" for number in range(100)))
        slow, quick = await lab.come("slow", "p1"), await lab.come("quick", "p2")
        await quick.snapshot()
        slow.writer.transport.pause_reading()
        for _ in range(40):
            lab.membership.take_over(lab.membership.ring.copy())
            while (await quick.snapshot()).version < lab.version:
                pass
        slow.writer.transport.resume_reading()
        versions = []
        while lab.version not in versions:
            versions.append((await slow.snapshot()).version)
        assert versions == sorted(versions)
        assert len(versions) < 20

    run(story)


@pytest.mark.usefixtures("patient")
def test_settled(run: Run) -> None:
    """All that are connected serve by the present table; one that goes is not waited for."""

    async def story(lab: Lab) -> None:
        await lab.followers.settled()  # nobody
        first, second = await lab.come("a", "p1"), await lab.come("b", "p2")
        await lab.until(lambda: len(lab.followers.links) == 2)
        settled = asyncio.ensure_future(lab.followers.settled())
        first.say(Serving(version=lab.version))
        second.say(Serving(version=lab.version - 1))
        await lab.until(
            lambda: (
                {lab.version, lab.version - 1}
                == {link.serving.version for link in lab.followers.links}
            )
        )
        assert not settled.done()
        await second.hang_up()
        await settled

    run(story)


def test_nobody_is_waited_for_without_end(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command answers though a follower does not."""
    monkeypatch.setattr(followers, "SETTLING_S", 0.01)

    async def story(lab: Lab) -> None:
        await lab.come()
        await lab.until(lambda: lab.followers.links)
        await lab.followers.settled()

    run(story)


def test_drained(run: Run) -> None:
    """A follower that does not know yet may have requests in flight that it has not told."""

    async def story(lab: Lab) -> None:
        peer = await lab.come()
        first = await peer.snapshot()
        (number,) = [each.life for each in first.replicas if each.hostname == "Server1"]
        peer.say(Serving(version=lab.version))
        await lab.until(lambda: all(link.serving.version for link in lab.followers.links))
        lab.membership.leaving.update(lab.membership.remove(["Server1"]))
        drained = asyncio.ensure_future(lab.followers.drained(lab.replicas[0], TIMEOUT_S))
        second = await peer.snapshot()
        assert [(number, True)] == [
            (each.life, each.leaves) for each in second.replicas if each.hostname == "Server1"
        ]
        assert not drained.done()
        peer.say(Serving(version=lab.version, in_flight={number: 1}))
        await lab.until(lambda: lab.followers.in_flight == {"Server1": 1})
        assert not drained.done()
        peer.say(Serving(version=lab.version))
        await drained

    run(story)


def test_what_they_tell(run: Run) -> None:
    """Of lives that there are; what it has done with a replica is an event that names it."""

    async def story(lab: Lab) -> None:
        peer = await lab.come("worker-2")
        numbers = {each.hostname: each.life for each in (await peer.snapshot()).replicas}
        peer.say(Noticed(life=999, evidence=Evidence.REFUSED))
        peer.say(Noticed(life=numbers["Server2"], evidence=Evidence.REFUSED))
        peer.say(Noticed(life=numbers["Server1"], evidence=None))
        peer.say(Happened(event="ejected", detail={"hostname": "Server1", "failures": 5}))
        await lab.until(lambda: lab.events.counts["ejected"])
        assert [(lab.replicas[1], Evidence.REFUSED), (lab.replicas[0], None)] == lab.noticed
        assert {"hostname": "Server1", "failures": 5, "data_plane": "worker-2"} == (
            lab.events.since(0)[-1].detail
        )

    run(story)


def counted(num_answers: int) -> Counted:
    stats = Stats()
    for _ in range(num_answers):
        stats.answered(200, 0.001)
    return Counted(
        replicas=messages.told({"Server1": stats}), ejections={"Server1": 1}, num_clients=2
    )


def test_counts_are_those_of_processes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that comes back counts on; one that has gone still counts, and is forgotten as itself
    only when many have gone since."""
    monkeypatch.setattr(followers, "MAX_GONE", 2)

    async def story(lab: Lab) -> None:
        server: Any = SimpleNamespace(
            stats={}, ejections={}, in_flight={}, num_clients=1, sampler=None, loop=None
        )
        planes = DataPlanes(server, lab.followers)
        assert planes.stats is server.stats
        for process, num_answers in [("p1", 3), ("p1", 5), ("p2", 7), ("p3", 11), ("p4", 13)]:
            peer = await lab.come(process=process)
            peer.say(counted(num_answers))
            await lab.until(lambda: planes.num_clients == 3)
            await peer.hang_up()
            await lab.until(lambda: not lab.followers.links)
        assert 5 + 7 + 11 + 13 == planes.stats["Server1"].num_answers
        assert {"Server1": 4} == planes.ejections
        assert ["p3", "p4"] == [*lab.followers.counted]
        assert 1 == planes.num_clients

    run(story)


def test_who_says_nothing_has_gone(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be frozen, or behind a network that is."""
    monkeypatch.setattr(messages.read, "__defaults__", (0.05,))

    async def story(lab: Lab) -> None:
        peer = await lab.come()
        await lab.until(lambda: lab.followers.links)
        await lab.until(lambda: not lab.followers.links)
        while await peer.reader.read(65_536):
            pass

    run(story)


def test_a_socket_that_was_left_behind(run: Run) -> None:
    """By one that was killed: it is in nobody's way; and only its owner may open the new one."""

    async def story(lab: Lab) -> None:
        left = lab.path.with_name("left.sock")
        left.touch()
        await lab.followers.listen(left)
        assert 0o600 == left.stat().st_mode & 0o777

    run(story)
