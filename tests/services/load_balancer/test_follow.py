"""A follower before a scripted control plane: what it makes of snapshots, and what it tells."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from load_balancer import follow, messages
from load_balancer.follow import Follower
from load_balancer.health import Evidence, State
from load_balancer.messages import FROM_FOLLOWER, HELLO, Here, Life, Serving, Snapshot, Welcome
from load_balancer.routing import Replica
from load_balancer.settings import Settings

from ring import make

TIMEOUT_S = 10


def life(number: int, hostname: str, port: int, **fields: Any) -> Life:
    """Alive and serving, unless told otherwise."""
    usual = {"host": "127.0.0.1", "state": State.ALIVE, "serves": True, "leaves": False}
    return Life(life=number, hostname=hostname, port=port, **usual | fields)


def snapshot(version: int, *lives: Life) -> Snapshot:
    ring = make("jump")
    for hostname in dict.fromkeys(each.hostname for each in lives):
        ring.add(hostname)
    return Snapshot(version=version, ring=ring.to_dict(), replicas=list(lives))


class ControlPlane:
    """What the test says, to a follower that it has in its hands."""

    def __init__(self, follower: Follower, accepted: asyncio.Queue[Any]) -> None:
        self.follower = follower
        self._accepted = accepted
        self._writers: list[asyncio.StreamWriter] = []

    async def welcome(self) -> None:
        """The follower has come."""
        self.reader, self.writer = await self._accepted.get()
        self._writers.append(self.writer)
        await messages.read(self.reader, HELLO)
        self.say(Welcome(admin_socket="/nobody", is_guarded=False, speaks_contract=True))

    def say(self, message: messages.Message) -> None:
        self.writer.write(message.line)

    async def hear(self, condition: Callable[[Any], bool]) -> Any:
        """The next message of which it holds."""
        while True:
            message = await messages.read(self.reader, FROM_FOLLOWER, TIMEOUT_S)
            if condition(message):
                return message

    async def serve_by(self, *lives: Life, version: int) -> dict[int, Replica]:
        """The follower's replicas, by their numbers, when it says that it serves by that table."""
        self.say(snapshot(version, *lives))
        await self.hear(lambda said: isinstance(said, Serving) and said.version == version)
        return dict(self.follower._replicas)

    def hang_up(self) -> None:
        self.writer.close()

    async def close(self) -> None:
        for writer in self._writers:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


Story = Callable[[ControlPlane], Coroutine[Any, Any, None]]
Run = Callable[[Story], None]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Has a story played with a follower that has just come."""

    async def play(story: Story) -> None:
        accepted: asyncio.Queue[Any] = asyncio.Queue()
        path = tmp_path / "followers.sock"
        listening = await asyncio.start_unix_server(
            lambda *streams: accepted.put_nowait(streams), str(path)
        )
        follower = Follower(Settings(drain_timeout_s=TIMEOUT_S), path, "test")
        following = asyncio.ensure_future(follower.run())
        control = ControlPlane(follower, accepted)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await control.welcome()
                await story(control)
        finally:
            following.cancel()
            await asyncio.wait([following])
            listening.close()
            await control.close()

    return lambda story: asyncio.run(play(story))


def test_a_successor_is_another_replica(run: Run) -> None:
    """Even at the same address: what the dead one had in flight is not the living one's."""

    async def story(control: ControlPlane) -> None:
        first = await control.serve_by(life(1, "A", 1), life(2, "B", 2), version=1)
        pool = control.follower.server.pool(first[1])
        second = await control.serve_by(life(3, "A", 1), life(2, "B", 2), version=2)
        assert second[2] is first[2]
        assert second[3] is not first[1]
        assert pool._is_cut
        assert control.follower.server.table.replicas == {"A": second[3], "B": first[2]}

    run(story)


def test_numbers_of_another_control_plane(run: Run) -> None:
    """They mean whom they name: same name and address, same replica, with its connections."""

    async def story(control: ControlPlane) -> None:
        first = await control.serve_by(life(1, "A", 1), life(2, "B", 2), version=7)
        pool = control.follower.server.pool(first[1])
        control.hang_up()
        await control.welcome()
        second = await control.serve_by(life(2, "A", 1), life(1, "B", 9), version=3)
        assert second[2] is first[1]
        assert second[1] not in first.values()
        assert not pool._is_cut
        assert 3 == control.follower.server.table.version

    run(story)


def test_it_serves_on_without(run: Run) -> None:
    """By the same table; admin calls are refused, with its version and age."""

    async def story(control: ControlPlane) -> None:
        await control.serve_by(life(1, "A", 1), version=7)
        table = control.follower.server.table
        assert control.follower.refusal() is None
        control.hang_up()
        while (refusal := control.follower.refusal()) is None:
            await asyncio.sleep(0)
        assert control.follower.server.table is table
        assert refusal == (
            503,
            "the control plane does not answer; serving table 7, 0.0 s old",
        )

    run(story)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The follower's: `now`, in seconds, is the test's to set."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(Follower, "_now", staticmethod(lambda: clock.now))
    return clock


def test_the_age_counts_from_the_last_word(run: Run, clock: SimpleNamespace) -> None:
    """Which need not have been a table."""

    async def story(control: ControlPlane) -> None:
        await control.serve_by(life(1, "A", 1), version=7)
        clock.now = 200.0
        control.say(Here())
        while control.follower._heard_at < 200.0:
            await asyncio.sleep(0)
        clock.now = 212.34
        assert control.follower.silence()[1].endswith("serving table 7, 12.3 s old")

    run(story)


def test_a_leaving_replica_is_drained(run: Run) -> None:
    """It gets no more, and what it has is told until it is answered."""

    async def story(control: ControlPlane) -> None:
        first = await control.serve_by(life(1, "A", 1), life(2, "B", 2), version=1)
        pool = control.follower.server.pool(first[1])
        held: Any = object()
        pool._queue.append(held)  # in flight, as far as anybody can see
        control.say(snapshot(2, life(1, "A", 1, serves=False, leaves=True), life(2, "B", 2)))
        said = await control.hear(lambda said: isinstance(said, Serving) and said.version == 2)
        assert said.in_flight == {1: 1}
        assert control.follower.server.route(5) is first[2]
        pool._queue.clear()
        pool._next()
        await control.hear(lambda said: isinstance(said, Serving) and said.in_flight == {})

    run(story)


def test_what_traffic_says_is_passed_on(run: Run) -> None:
    """By the life's number; a refusal weighs more than a hang-up; of strangers nothing."""

    async def story(control: ControlPlane) -> None:
        replicas = await control.serve_by(life(4, "A", 1), version=1)
        follower = control.follower
        for replica, evidence in [
            (Replica("A", ("127.0.0.1", 1)), Evidence.REFUSED),
            (replicas[4], None),
            (replicas[4], Evidence.REFUSED),
            (replicas[4], None),
        ]:
            follower._on_evidence(replica, evidence)
        said = await control.hear(lambda said: said.kind == "noticed")
        assert (4, Evidence.REFUSED) == (said.life, said.evidence)
        follower._on_event("ejected", hostname="A", failures=5, for_s=30.0)
        said = await control.hear(lambda said: said.kind in ("noticed", "happened"))
        assert {"hostname": "A", "failures": 5, "for_s": 30.0} == said.detail

    run(story)


def test_refusals_are_told_once_a_second(run: Run, clock: SimpleNamespace) -> None:
    """A replica that a follower alone cannot reach would else come and go with each request."""

    async def story(control: ControlPlane) -> None:
        replicas = await control.serve_by(life(4, "A", 1), version=1)
        follower = control.follower
        told = []
        for clock.now in (100.0, 100.5, 100.9, 101.0, 101.9):
            follower._on_evidence(replicas[4], Evidence.REFUSED)
            told.append((clock.now, len(follower._changes())))
        assert [(100.0, 1), (100.5, 0), (100.9, 0), (101.0, 1), (101.9, 0)] == told

    run(story)


def test_the_ring_is_kept_while_it_is_the_same(run: Run) -> None:
    """A change of health alone builds no ring."""

    async def story(control: ControlPlane) -> None:
        await control.serve_by(life(1, "A", 1), version=1)
        ring = control.follower._ring
        assert ring is not None
        await control.serve_by(life(1, "A", 1, state=State.SUSPECT, serves=False), version=2)
        assert control.follower._ring is ring
        assert control.follower.server.route(1) is None
        await control.serve_by(life(1, "A", 1), life(2, "B", 2), version=3)
        assert control.follower._ring is not ring

    run(story)


def test_a_snapshot_that_cannot_be(run: Run) -> None:
    """It hangs up, and serves on by the last one."""

    async def story(control: ControlPlane) -> None:
        await control.serve_by(life(1, "A", 1), version=1)
        table = control.follower.server.table
        control.say(Snapshot(version=2, ring={"algorithm": "magic"}, replicas=[]))
        await control.welcome()
        assert control.follower.server.table is table

    run(story)


def test_how_often_it_is_looked_for() -> None:
    """Half a second at most."""
    assert follow.BACKOFF_FIRST_S < follow.BACKOFF_LAST_S <= 0.5
