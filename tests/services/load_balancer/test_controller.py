"""Commands and healing, with a provisioner, a data plane and heartbeats that are scripted.

Time is the loop's own, and passes as soon as everybody waits: half a minute of backoff takes none.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from load_balancer.controller import BACKOFF_LAST_S, QUICK_DEATHS, WELL_AFTER_S, Controller
from load_balancer.errors import (
    BadRequest,
    Conflict,
    LoadBalancerError,
    ProvisionerRefused,
    ProvisionerUnavailable,
    ReplicaNotAnswering,
    UnknownReplica,
)
from load_balancer.events import EventLog
from load_balancer.health import Evidence, State, Thresholds
from load_balancer.membership import Member, Membership
from load_balancer.provisioner_client import Provisioned
from load_balancer.routing import Replica, RoutingTable
from load_balancer.settings import Address, Settings
from load_balancer.state_file import StateFile
from virtual_time import Loop

from ring import PRESETS, Placement, SlotRing, TableRing

START_S = 0.1  # from a replica's start to its first answer
CREATE_S = 1.0  # what the provisioner takes to make one
NAMES = ["Server1", "Server2", "Server3"]


class FakeProvisioner:
    """Replicas as it would list them, the calls that it got with their times, and its failures."""

    def __init__(self) -> None:
        self.replicas: dict[str, Provisioned] = {}
        self.calls: list[str] = []
        self.times: list[float] = []
        self.failures: dict[str, list[LoadBalancerError]] = {}  # by call, each used once
        self.mute: set[Address | None] = set()  # where nobody answers
        self._ports = iter(range(1, 10_000))

    async def _called(self, call: str) -> None:
        self.calls.append(call)
        self.times.append(asyncio.get_running_loop().time())
        await asyncio.sleep(CREATE_S)
        if failures := self.failures.get(call):
            raise failures.pop(0)

    async def list(self) -> list[Provisioned]:
        await self._called("list")
        return list(self.replicas.values())

    async def create_or_replace(self, hostname: str, server_id: int) -> Address:
        await self._called(f"create {hostname}")
        address = ("127.0.0.1", next(self._ports))
        self.replicas[hostname] = Provisioned(hostname, server_id, address, "running")
        return address

    async def remove(self, hostname: str) -> None:
        await self._called(f"remove {hostname}")
        self.replicas.pop(hostname, None)

    async def kill(self, hostname: str) -> None:
        await self._called(f"kill {hostname}")

    async def pause(self, hostname: str) -> None:
        await self._called(f"pause {hostname}")

    async def resume(self, hostname: str) -> None:
        await self._called(f"resume {hostname}")


class FakeDataPlane:
    def __init__(self) -> None:
        self.drained: list[str] = []
        self.cuts: list[Replica] = []
        self.drain_s = 2.0
        self.num_settled = 0  # how often it was waited for
        self.settled_at = 0  # the table's version then
        self.version: Callable[[], int] = lambda: 0

    async def drain(self, replica: Replica, timeout_s: float) -> None:
        self.drained.append(replica.hostname)
        await asyncio.sleep(self.drain_s)

    def cut(self, replica: Replica) -> None:
        self.cuts.append(replica)

    async def settled(self) -> None:
        self.num_settled += 1
        self.settled_at = self.version()


class FakeHeartbeats:
    """Every replica answers a while after its start, unless it is silent."""

    def __init__(self, membership: Membership, mute: set[Address | None]) -> None:
        self._membership = membership
        self._mute = mute
        self.silent: set[str] = set()

    def replica_started(self, member: Member, replica: Replica) -> None:
        if member.hostname not in self.silent and replica.address not in self._mute:
            asyncio.get_running_loop().call_later(
                START_S, self._membership.learn, replica, Evidence.ANSWERED
            )

    def replica_suspected(self, replica: Replica) -> None: ...

    def replica_died(self, member: Member, replica: Replica) -> None: ...

    def table_published(self, table: RoutingTable) -> None: ...


class Lab:
    """A control plane; a second one over the same provisioner is what comes after a restart."""

    def __init__(self, provisioner: FakeProvisioner | None, settings: dict[str, Any]) -> None:
        self.settings = Settings(**settings)
        self.provisioner = provisioner or FakeProvisioner()
        self.data_plane = FakeDataPlane()
        self.before: Any = None
        self.events = EventLog()
        self.membership = Membership(self.settings.ring(), Thresholds(1, 1), self.events)
        self.data_plane.version = lambda: self.membership.table.version
        self.heartbeats = FakeHeartbeats(self.membership, self.provisioner.mute)
        self.controller = Controller(
            self.membership,
            self.data_plane,
            None if self.settings.replica else self.provisioner,
            self.settings,
            self.events,
        )
        self.membership.observers += [self.heartbeats, self.controller]

    def replica(self, hostname: str) -> Replica:
        replica = self.membership.member(hostname).replica
        assert replica is not None
        return replica

    def die(self, hostname: str) -> None:
        replica = self.replica(hostname)
        self.membership.learn(replica, Evidence.REFUSED)
        self.membership.learn(replica, Evidence.REFUSED)
        assert self.membership.member(hostname).health.state is State.DEAD

    def answers(self, hostname: str) -> bool:
        member = self.membership.members.get(hostname)
        return member is not None and member.answers.is_set()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(10_000):
            while not condition():
                await asyncio.sleep(0.05)

    def kinds(self, *kinds: str) -> list[dict[str, object]]:
        return [event.detail for event in self.events.since(0) if event.kind in kinds]


Story = Callable[[Lab], Coroutine[Any, Any, None]]
Run = Callable[..., None]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Has a story played in a lab that has begun, with NAMES unless told otherwise."""

    async def in_line(function: Callable[..., Any], *arguments: Any) -> Any:
        await asyncio.sleep(0)
        return function(*arguments)

    monkeypatch.setattr(asyncio, "to_thread", in_line)  # a thread knows nothing of our time

    def play(
        story: Story,
        *,
        names: list[str] = NAMES,
        provisioner: FakeProvisioner | None = None,
        **settings: Any,
    ) -> None:
        async def whole() -> None:
            lab = Lab(provisioner, settings)
            await lab.controller.begin()
            if names and not lab.settings.replica:
                await lab.controller.put(names)
            lab.provisioner.calls.clear()
            lab.provisioner.times.clear()
            try:
                await story(lab)
            finally:
                await lab.controller.close()

        with asyncio.Runner(loop_factory=Loop) as runner:
            runner.run(whole())

    return play


def picture(lab: Lab) -> Any:
    """All that a refused command must leave as it is."""
    return (
        dict(lab.provisioner.replicas),
        lab.membership.ring.to_dict(),
        lab.membership.listed,
    )


def test_commands_return_when_data_planes_have_settled(run: Run) -> None:
    """Who changes the table and asks any of them sees the change."""

    async def story(lab: Lab) -> None:
        for command in (
            lab.controller.add(1, []),
            lab.controller.remove(1, []),
            lab.controller.put(NAMES),
            lab.controller.configure(SlotRing(PRESETS["assignment"])),
        ):
            version, waited = lab.membership.table.version, lab.data_plane.num_settled
            await command
            assert version < lab.data_plane.settled_at == lab.membership.table.version
            assert waited + 1 == lab.data_plane.num_settled

    run(story)


# add


def test_add(run: Run) -> None:
    """The named ones and random others, behind the old ones; they serve when it returns."""

    async def story(lab: Lab) -> None:
        await lab.controller.add(3, ["Server5", "S4"])
        old, (first, second, third) = lab.membership.listed[:3], lab.membership.listed[3:]
        assert (old, first, second) == (NAMES, "Server5", "S4")
        assert re.fullmatch("S[0-9a-f]{6}", third)
        ids = {name: lab.provisioner.replicas[name].server_id for name in (first, second, third)}
        assert ids == {"Server5": 5, "S4": 4, third: 6}
        assert set(lab.membership.table.replicas) == {*NAMES, first, second, third}

    run(story)


def test_add_starts_all_at_once(run: Run) -> None:
    """Ten take no longer than one."""

    async def story(lab: Lab) -> None:
        started = asyncio.get_running_loop().time()
        await lab.controller.add(10, [])
        assert asyncio.get_running_loop().time() - started < 2 * CREATE_S

    run(story)


def test_new_replicas_join_together(run: Run) -> None:
    """None serves before all have answered, for one may yet fail."""

    async def story(lab: Lab) -> None:
        lab.heartbeats.silent.add("B")
        adding = asyncio.ensure_future(lab.controller.add(2, ["A", "B"]))
        await lab.until(lambda: lab.answers("A"))
        assert lab.membership.listed == NAMES
        assert "A" not in lab.membership.table.replicas
        lab.membership.learn(lab.replica("B"), Evidence.ANSWERED)
        await adding
        assert lab.membership.listed == [*NAMES, "A", "B"]

    run(story)


def test_add_is_all_or_nothing(run: Run) -> None:
    """When one cannot be made, those that could are removed again, and the reason is told."""

    async def story(lab: Lab) -> None:
        before = picture(lab)
        lab.provisioner.failures["create B"] = [ProvisionerRefused("no memory left")]
        with pytest.raises(ProvisionerRefused, match="no memory left"):
            await lab.controller.add(3, ["A", "B", "C"])
        assert picture(lab) == before
        assert {"remove A", "remove B", "remove C"} <= set(lab.provisioner.calls)
        await lab.controller.add(3, ["A", "B", "C"])
        assert lab.membership.listed == [*NAMES, "A", "B", "C"]

    run(story)


def test_a_new_replica_must_answer(run: Run) -> None:
    """One that does not is named after a while, and nothing has changed."""

    async def story(lab: Lab) -> None:
        before = picture(lab)
        lab.heartbeats.silent |= {"B", "C"}
        with pytest.raises(ReplicaNotAnswering, match=r"no heartbeat within 30.0 s from B, C"):
            await lab.controller.add(3, ["A", "B", "C"])
        assert picture(lab) == before

    run(story)


def test_a_failed_add_heals_nothing(run: Run) -> None:
    """One of it that died meanwhile is not replaced after all are gone."""

    async def story(lab: Lab) -> None:
        lab.heartbeats.silent.add("B")
        adding = asyncio.ensure_future(lab.controller.add(2, ["A", "B"]))
        await lab.until(lambda: lab.answers("A"))
        lab.heartbeats.silent.add("A")
        lab.die("A")
        with pytest.raises(ReplicaNotAnswering):
            await adding
        await asyncio.sleep(200)
        assert set(lab.provisioner.replicas) == set(NAMES)

    run(story)


@pytest.mark.parametrize(
    ("n", "hostnames", "error", "message"),
    [
        (1, ["A", "B"], BadRequest, "Length of hostname list is more than newly added instances"),
        (2, ["A", "Server1"], Conflict, "'Server1' is already present"),
        (2, ["A", "A"], BadRequest, "'A' is given twice"),
        (2, ["A", "b_"], BadRequest, "'b_'"),
        (8, [], Conflict, "n must be at most 7, for 10 replicas in all, got 8"),
        (10**9, [], Conflict, "got 1000000000"),
    ],
)
def test_a_bad_add_does_nothing(
    run: Run, n: int, hostnames: list[str], error: type[Exception], message: str
) -> None:
    """No call is made, no name is taken."""

    async def story(lab: Lab) -> None:
        before = picture(lab)
        with pytest.raises(error, match=message):
            await lab.controller.add(n, hostnames)
        assert (picture(lab), lab.provisioner.calls) == (before, [])

    run(story, max_replicas=10)


def test_a_full_ring_refuses(run: Run) -> None:
    """The seed's ring holds six; who wants more is told so, and half of it is not done."""

    async def story(lab: Lab) -> None:
        before = picture(lab)
        with pytest.raises(Conflict, match="at most 6 nodes"):
            await lab.controller.add(4, [])
        assert (picture(lab), lab.provisioner.calls) == (before, [])
        await lab.controller.add(3, [])
        assert len(lab.membership.listed) == 6

    run(story, preset="seed-deployed")


def test_two_adds_at_once(run: Run) -> None:
    """Both take effect; of two that want one name, one gets it."""

    async def story(lab: Lab) -> None:
        await asyncio.gather(lab.controller.add(2, ["A"]), lab.controller.add(2, ["B"]))
        assert len(set(lab.membership.listed)) == len(lab.membership.listed) == 7
        results = await asyncio.gather(
            lab.controller.add(1, ["C"]), lab.controller.add(1, ["C"]), return_exceptions=True
        )
        assert [type(result) for result in results] == [type(None), Conflict]
        assert lab.membership.listed.count("C") == 1

    run(story)


def test_a_name_may_come_back_at_once(run: Run) -> None:
    """While its last bearer still drains; the new one is made when that has stopped."""

    async def story(lab: Lab) -> None:
        lab.data_plane.drain_s = 20
        removing = asyncio.ensure_future(lab.controller.remove(1, ["Server2"]))
        await lab.until(lambda: lab.data_plane.drained)
        await lab.controller.add(1, ["Server2"])
        assert removing.done()
        assert lab.provisioner.calls == ["remove Server2", "create Server2"]
        assert lab.membership.listed == ["Server1", "Server3", "Server2"]

    run(story)


# rm


def test_remove(run: Run) -> None:
    """Out of the table at once, then drained, then stopped; then it returns."""

    async def story(lab: Lab) -> None:
        removing = asyncio.ensure_future(lab.controller.remove(1, ["Server2"]))
        await lab.until(lambda: lab.data_plane.drained)
        assert lab.membership.listed == ["Server1", "Server3"]
        assert "Server2" not in lab.membership.table.replicas
        assert (lab.data_plane.drained, lab.provisioner.calls) == (["Server2"], [])
        assert not removing.done()
        await removing
        assert lab.provisioner.calls == ["remove Server2"]
        assert [each["hostname"] for each in lab.kinds("draining", "drained")] == ["Server2"] * 2

    run(story)


@pytest.mark.parametrize("after_s", [0.0, 1.0])
def test_a_replica_that_dies_while_it_leaves(run: Run, after_s: float) -> None:
    """Nobody waits for its last answers any longer: they have gone on to others. It was frozen, and
    requests to it, and the command, waited for all of drain_timeout_s."""

    async def story(lab: Lab) -> None:
        lab.data_plane.drain_s = 1000
        replica = lab.replica("Server2")
        removing = asyncio.ensure_future(lab.controller.remove(1, ["Server2"]))
        await lab.until(lambda: "Server2" not in lab.membership.listed)
        await asyncio.sleep(after_s)
        died_at = asyncio.get_running_loop().time()
        lab.membership.learn(replica, Evidence.REFUSED)
        lab.membership.learn(replica, Evidence.REFUSED)
        assert lab.data_plane.cuts == [replica]
        await removing
        assert asyncio.get_running_loop().time() - died_at < 2 * CREATE_S
        assert lab.provisioner.calls == ["remove Server2"]
        assert "Server2" not in lab.provisioner.replicas

    run(story)


def test_a_removal_is_repeated_until_it_is_done(run: Run) -> None:
    """The provisioner was away: a replica that no command knows any more ran on."""

    async def story(lab: Lab) -> None:
        gone = [ProvisionerUnavailable("gone"), ProvisionerRefused("busy")]
        lab.provisioner.failures["remove Server2"] = list(gone)
        await lab.controller.remove(1, ["Server2"])
        assert lab.provisioner.calls == ["remove Server2"] * 3
        assert set(lab.provisioner.replicas) == {"Server1", "Server3"}

    run(story)


def test_a_failed_add_removes_what_it_made(run: Run) -> None:
    """Also if that has to be tried again, after the caller was told."""

    async def story(lab: Lab) -> None:
        lab.provisioner.failures["create B"] = [ProvisionerUnavailable("gone")]
        lab.provisioner.failures["remove A"] = [ProvisionerUnavailable("gone")] * 5
        with pytest.raises(ProvisionerUnavailable):
            await lab.controller.add(2, ["A", "B"])
        assert "A" in lab.provisioner.replicas
        await lab.until(lambda: set(lab.provisioner.replicas) == set(NAMES))

    run(story)


def test_remove_picks_the_rest_at_random(run: Run) -> None:
    """The named ones in any case; over many runs, each of the others."""
    picked: Counter[str] = Counter()

    async def story(lab: Lab) -> None:
        await lab.controller.remove(2, ["Server3"])
        assert "Server3" not in lab.membership.listed
        picked.update({"Server1", "Server2"} - set(lab.membership.listed))
        assert len(lab.membership.listed) == 1

    for _ in range(30):
        run(story)
    assert set(picked) == {"Server1", "Server2"}


@pytest.mark.parametrize(
    ("n", "hostnames", "error", "message"),
    [
        (1, ["Server1", "Server2"], BadRequest, "more than removable instances"),
        (4, [], BadRequest, "n must be at most 3, the number of replicas, got 4"),
        (2, ["Server1", "Server9"], UnknownReplica, "'Server9' is no replica; there are: Server1"),
        (2, ["Server1", "server1"], UnknownReplica, "'server1' is no replica"),
        (2, ["Server1", "Server1"], BadRequest, "'Server1' is given twice"),
        (1, ["a/b"], BadRequest, "'a/b'"),
    ],
)
def test_a_bad_remove_does_nothing(
    run: Run, n: int, hostnames: list[str], error: type[Exception], message: str
) -> None:
    """Nobody leaves."""

    async def story(lab: Lab) -> None:
        before = picture(lab)
        with pytest.raises(error, match=message):
            await lab.controller.remove(n, hostnames)
        assert (picture(lab), lab.provisioner.calls) == (before, [])

    run(story)


def test_all_may_leave(run: Run) -> None:
    """N may become 0, and grow again."""

    async def story(lab: Lab) -> None:
        await lab.controller.remove(3, [])
        assert (lab.membership.listed, lab.provisioner.replicas) == ([], {})
        await lab.controller.add(1, ["Server1"])
        assert lab.membership.listed == ["Server1"]

    run(story)


def test_the_removed_are_not_healed(run: Run) -> None:
    """Also one that has just died, and whose replacement is under way."""

    async def story(lab: Lab) -> None:
        lab.die("Server2")
        await lab.until(lambda: "create Server2" in lab.provisioner.calls)
        await lab.controller.remove(1, ["Server2"])
        await asyncio.sleep(100)
        assert set(lab.provisioner.replicas) == {"Server1", "Server3"}
        assert lab.data_plane.drained == []
        assert lab.membership.listed == ["Server1", "Server3"]

    run(story)


# PUT


def test_put(run: Run) -> None:
    """Exactly these, in no more steps than it takes; who stays is not touched."""

    async def story(lab: Lab) -> None:
        kept = lab.replica("Server2")
        await lab.controller.put(["Server2", "Server4"])
        assert set(lab.membership.listed) == set(lab.provisioner.replicas) == {"Server2", "Server4"}
        assert lab.replica("Server2") is kept
        assert sorted(lab.provisioner.calls) == [
            "create Server4",
            "remove Server1",
            "remove Server3",
        ]

    run(story)


def test_put_is_idempotent(run: Run) -> None:
    """A second time it does nothing; in another order it lists them so, and moves no key."""

    async def story(lab: Lab) -> None:
        last, slots = lab.events.last_id, lab.membership.ring.to_dict()
        await lab.controller.put(NAMES)
        await lab.controller.put(NAMES[::-1])
        assert (lab.provisioner.calls, lab.events.last_id) == ([], last)
        assert lab.membership.ring.to_dict() == slots
        assert lab.membership.listed == NAMES[::-1]

    run(story)


def test_put_waits_for_the_sick(run: Run) -> None:
    """When it returns, all serve: also one that is just being replaced."""

    async def story(lab: Lab) -> None:
        lab.die("Server2")
        await lab.controller.put(NAMES)
        assert sorted(lab.membership.listed) == NAMES
        assert lab.provisioner.calls == ["create Server2"]

    run(story)


@pytest.mark.parametrize(
    ("hostnames", "error", "message"),
    [
        (["Server1", "Server1"], BadRequest, "'Server1' is given twice"),
        (["Server1", "b_"], BadRequest, "'b_'"),
        (["A", "a"], Conflict, "'a' is given twice, the other time as 'A'"),
        ([f"S{number}" for number in range(11)], Conflict, "at most 10, got 11"),
    ],
)
def test_a_bad_put_does_nothing(
    run: Run, hostnames: list[str], error: type[Exception], message: str
) -> None:
    """The replicas stay as they are."""

    async def story(lab: Lab) -> None:
        before = picture(lab)
        with pytest.raises(error, match=message):
            await lab.controller.put(hostnames)
        assert (picture(lab), lab.provisioner.calls) == (before, [])

    run(story, max_replicas=10)


def test_a_put_that_fails_removes_nobody(run: Run) -> None:
    """New ones first: when they cannot be had, the old ones serve on."""

    async def story(lab: Lab) -> None:
        before = picture(lab)
        lab.provisioner.failures["create A"] = [ProvisionerUnavailable("gone")]
        with pytest.raises(ProvisionerUnavailable, match="gone"):
            await lab.controller.put(["A"])
        assert picture(lab) == before

    run(story)


# Faults, and servers that are not ours


@pytest.mark.parametrize(
    ("command", "call"), [("crash", "kill"), ("pause", "pause"), ("resume", "resume")]
)
def test_faults_happen_behind_our_back(run: Run, command: str, call: str) -> None:
    """The provisioner does it; here, nobody takes note."""

    async def story(lab: Lab) -> None:
        before, last = picture(lab), lab.events.last_id
        await getattr(lab.controller, command)("Server2")
        assert lab.provisioner.calls == [f"{call} Server2"]
        assert (picture(lab), lab.events.last_id) == (before, last)
        with pytest.raises(UnknownReplica, match="'Server9'"):
            await getattr(lab.controller, command)("Server9")

    run(story)


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("add", (1, [])),
        ("add", (1, ["A", "B"])),
        ("remove", (1, [])),
        ("put", (["A"],)),
        ("crash", ("A",)),
        ("pause", ("A",)),
        ("resume", ("A",)),
    ],
)
def test_servers_that_are_not_ours(run: Run, command: str, arguments: tuple[Any, ...]) -> None:
    """409, and why; they serve from the beginning all the same."""

    async def story(lab: Lab) -> None:
        with pytest.raises(Conflict, match="servers that it does not manage"):
            await getattr(lab.controller, command)(*arguments)
        assert lab.membership.listed == ["A", "B"]
        assert lab.replica("B").address == ("127.0.0.1", 2)

    run(story, replica=("A=127.0.0.1:1", "B=127.0.0.1:2"))


def test_servers_that_are_not_ours_come_back_by_themselves(run: Run) -> None:
    """A dead one is cut and left alone; when it answers again, it serves again."""

    async def story(lab: Lab) -> None:
        replica = lab.replica("A")
        lab.die("A")
        assert lab.data_plane.cuts == [replica]
        await asyncio.sleep(100)
        assert (lab.membership.listed, lab.replica("A")) == (["B"], replica)
        lab.membership.learn(replica, Evidence.ANSWERED)
        assert lab.membership.table.replicas["A"] is replica

    run(story, replica=("A=127.0.0.1:1", "B=127.0.0.1:2"))


def test_beginning_does_not_wait_for_ever(run: Run) -> None:
    """A server that is not there yet does not keep the others from serving."""

    async def story(lab: Lab) -> None:
        lab.heartbeats.silent.add("Server2")
        second = Lab(lab.provisioner, {"heartbeat_timeout_s": 1.0})
        second.heartbeats.silent.add("Server2")
        started = asyncio.get_running_loop().time()
        await second.controller.begin()
        assert asyncio.get_running_loop().time() - started <= CREATE_S + 1.0
        assert second.membership.listed == ["Server1", "Server3"]
        await second.controller.close()

    run(story)


# Healing


def test_the_dead_are_replaced(run: Run) -> None:
    """Under their own name, in their own slots, at once; its connections are cut."""

    async def story(lab: Lab) -> None:
        old, slots = lab.replica("Server2"), lab.membership.ring.slots_of("Server2")
        started = asyncio.get_running_loop().time()
        lab.die("Server2")
        assert lab.data_plane.cuts == [old]
        await lab.until(lambda: lab.kinds("replaced"))
        assert asyncio.get_running_loop().time() - started < CREATE_S + START_S + 0.1
        assert lab.replica("Server2") is not old
        assert lab.membership.ring.slots_of("Server2") == slots
        assert sorted(lab.membership.table.replicas) == NAMES
        assert lab.kinds("replaced") == [{"hostname": "Server2", "by": "Server2"}]

    run(story)


def test_all_may_die_at_once(run: Run) -> None:
    """Each is replaced, and none waits for another, nor for a command that is under way."""

    async def story(lab: Lab) -> None:
        lab.heartbeats.silent.add("A")
        adding = asyncio.ensure_future(lab.controller.add(1, ["A"]))
        started = asyncio.get_running_loop().time()
        for name in NAMES:
            lab.die(name)
        await lab.until(lambda: len(lab.kinds("replaced")) == 3)
        assert asyncio.get_running_loop().time() - started < 2 * CREATE_S
        adding.cancel()
        await asyncio.wait([adding])

    run(story)


def test_healing_backs_off(run: Run) -> None:
    """While the provisioner cannot: twice as long each time, up to half a minute, and for ever."""

    async def story(lab: Lab) -> None:
        failures = [ProvisionerUnavailable("gone") for _ in range(9)]
        lab.provisioner.failures["create Server2"] = failures
        lab.die("Server2")
        await lab.until(lambda: lab.kinds("replaced"))
        times = lab.provisioner.times
        waits = [later - earlier - CREATE_S for earlier, later in itertools.pairwise(times)]
        assert waits == pytest.approx([0.5, 1, 2, 4, 8, 16, *[BACKOFF_LAST_S] * 3])
        assert sorted(lab.membership.listed) == NAMES

    run(story)


def test_a_death_in_the_moment_of_healing(run: Run) -> None:
    """The replacement answers and dies at once: it is replaced, until somebody removes it."""

    async def story(lab: Lab) -> None:
        lab.heartbeats.silent.add("Server2")
        lab.die("Server2")
        await lab.until(lambda: lab.membership.member("Server2").replica)
        lab.membership.learn(lab.replica("Server2"), Evidence.ANSWERED)
        lab.die("Server2")
        await lab.until(lambda: lab.provisioner.calls == ["create Server2"] * 2)
        await lab.controller.remove(1, ["Server2"])
        await asyncio.sleep(200)
        assert set(lab.provisioner.replicas) == {"Server1", "Server3"}

    run(story)


def test_who_is_starting_cannot_be_paused(run: Run) -> None:
    """Nobody could tell a frozen one from one that is slow, and healing would wait for it."""

    async def story(lab: Lab) -> None:
        lab.heartbeats.silent.add("Server2")
        lab.die("Server2")
        for has_begun in (False, True):
            await lab.until(
                lambda begun=has_begun: begun == bool(lab.membership.member("Server2").replica)
            )
            with pytest.raises(Conflict, match="'Server2' is starting"):
                await lab.controller.pause("Server2")
        assert "pause Server2" not in lab.provisioner.calls
        await lab.controller.crash("Server2")

    run(story)


def test_a_replacement_must_answer_too(run: Run) -> None:
    """One that does not is replaced itself."""

    async def story(lab: Lab) -> None:
        lab.heartbeats.silent.add("Server2")
        lab.die("Server2")
        await lab.until(lambda: lab.provisioner.calls == ["create Server2"] * 2)
        lab.heartbeats.silent.clear()
        await lab.until(lambda: lab.kinds("replaced"))
        assert sorted(lab.membership.listed) == NAMES

    run(story)


def test_a_command_that_waits_for_healing_hastens_it(run: Run) -> None:
    """Whom PUT /rep asks for is not kept waiting for having died often."""

    async def story(lab: Lab) -> None:
        for death in range(1, QUICK_DEATHS + 8):
            lab.die("Server2")
            await lab.until(lambda death=death: len(lab.kinds("replaced")) == death)
        begun_at = asyncio.get_running_loop().time()
        lab.membership.suspect(lab.replica("Server2"))  # who dies while the command waits
        putting = asyncio.ensure_future(lab.controller.put(NAMES))
        await asyncio.sleep(0.1)
        lab.die("Server2")
        await putting
        assert asyncio.get_running_loop().time() - begun_at < 5
        assert lab.membership.listed == NAMES

    run(story)


@pytest.mark.parametrize("replacement_name", ["same", "random"])
def test_crash_loops_are_slowed_down(run: Run, replacement_name: str) -> None:
    """A class may crash a replica a few times; one that dies again and again has to wait."""

    async def story(lab: Lab) -> None:
        waits = []
        dying = "Server2"
        for death in range(1, QUICK_DEATHS + 4):
            died_at = asyncio.get_running_loop().time()
            lab.provisioner.calls.clear()
            lab.provisioner.times.clear()
            lab.die(dying)
            await lab.until(lambda death=death: len(lab.kinds("replaced")) == death)
            waits.append(lab.provisioner.times[0] - died_at)
            dying = str(lab.kinds("replaced")[-1]["by"])
        assert waits == pytest.approx([0] * QUICK_DEATHS + [0.5, 1, 2], abs=0.001)
        await asyncio.sleep(WELL_AFTER_S)
        died_at = asyncio.get_running_loop().time()
        lab.provisioner.times.clear()
        lab.die(dying)
        await lab.until(lambda: lab.provisioner.times)
        assert lab.provisioner.times[0] == pytest.approx(died_at, abs=0.001)

    run(story, replacement_name=replacement_name)


def test_random_names(run: Run, tmp_path: Path) -> None:
    """The assignment's way: another name in its place; the dead one's remains are removed."""

    async def story(lab: Lab) -> None:
        lab.die("Server2")
        await lab.until(lambda: lab.kinds("replaced"))
        (replaced,) = lab.kinds("replaced")
        name = str(replaced["by"])
        assert re.fullmatch("S[0-9a-f]{6}", name)
        assert lab.membership.listed == ["Server1", "Server3", name]
        assert set(lab.provisioner.replicas) == {"Server1", "Server3", name}
        saved = StateFile(tmp_path / "state.json").load()
        assert saved is not None
        assert set(saved.ring.nodes) == {"Server1", "Server3", name}

    run(story, replacement_name="random", state_file=tmp_path / "state.json")


def test_on_a_table_the_replacement_keeps_the_name(run: Run) -> None:
    """The table has slots for no other."""

    async def story(lab: Lab) -> None:
        await lab.controller.configure(TableRing(key_hash="identity", table=tuple(NAMES)))
        lab.die("Server2")
        await lab.until(lambda: lab.kinds("replaced"))
        (replaced,) = lab.kinds("replaced")
        assert ("Server2", "Server2") == (replaced["hostname"], replaced["by"])
        assert sorted(lab.membership.listed) == NAMES

    run(story, replacement_name="random")


def test_remains_do_not_hinder_healing(run: Run) -> None:
    """The replacement stays, whether or not the dead one can be removed."""

    async def story(lab: Lab) -> None:
        lab.provisioner.failures["remove Server2"] = [ProvisionerRefused("busy")]
        lab.die("Server2")
        await lab.until(lambda: lab.kinds("replaced"))
        creations = [call for call in lab.provisioner.calls if call.startswith("create")]
        assert len(creations) == 1

    run(story, replacement_name="random")


def test_a_full_disk_does_not_hinder_healing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state cannot be saved; replicas are replaced all the same."""

    async def story(lab: Lab) -> None:
        def fail(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(StateFile, "save", fail)
        lab.die("Server2")
        await lab.until(lambda: lab.kinds("replaced"))
        assert len(lab.membership.listed) == 3

    run(story, replacement_name="random", state_file=tmp_path / "state.json")


# State, and what a restart finds


def routes(lab: Lab) -> list[str]:
    """Where a thousand keys go."""
    found = [lab.membership.table.route(key) for key in range(1000)]
    return [replica.hostname for replica in found if replica is not None]


def restart(
    run: Run, tmp_path: Path, change: Callable[[Lab], object], check: Story, **changed: Any
) -> None:
    """A lab with history ends, `change` works on what it leaves, then `check` looks at the next
    one, which knows what was `before`."""
    settings = {"state_file": tmp_path / "state.json", "preset": "seed-library"}
    provisioner = FakeProvisioner()
    before: list[Any] = []

    async def first(lab: Lab) -> None:
        await lab.controller.remove(1, ["Server1"])
        await lab.controller.add(1, ["A"])
        before.append((lab.membership.ring.to_dict(), routes(lab)))
        change(lab)

    async def second(lab: Lab) -> None:
        lab.before = before[0]
        await check(lab)

    run(first, provisioner=provisioner, **settings)
    run(second, names=[], provisioner=provisioner, **(settings | changed))


def test_a_restart_finds_all_as_it_was(run: Run, tmp_path: Path) -> None:
    """Same replicas, ids, slots and routes; nothing is made or removed."""

    async def check(lab: Lab) -> None:
        assert (lab.membership.ring.to_dict(), routes(lab)) == lab.before
        assert lab.membership.listed == ["Server2", "Server3", "A"]
        await asyncio.sleep(100)
        assert lab.provisioner.calls == []

    restart(run, tmp_path, lambda _: None, check)


def test_a_restart_replaces_what_is_missing(run: Run, tmp_path: Path) -> None:
    """What is gone, has ended or is paused; their slots wait for them."""

    def change(lab: Lab) -> None:
        replicas = lab.provisioner.replicas
        del replicas["Server2"]
        replicas["Server3"] = Provisioned("Server3", 3, None, "exited")
        replicas["A"] = Provisioned("A", 1, ("127.0.0.1", 99), "paused")

    async def check(lab: Lab) -> None:
        await lab.until(lambda: len(lab.kinds("replaced")) == 3)
        assert (lab.membership.ring.to_dict(), routes(lab)) == lab.before
        assert lab.membership.listed == ["Server2", "Server3", "A"]

    restart(run, tmp_path, change, check)


def test_a_restart_replaces_what_stays_silent(run: Run, tmp_path: Path) -> None:
    """What froze or ended just after it was listed, so that nothing was ever heard of it."""

    def change(lab: Lab) -> None:
        lab.provisioner.mute.add(lab.provisioner.replicas["Server3"].address)

    async def check(lab: Lab) -> None:
        await lab.until(lambda: lab.kinds("replaced"))
        assert (lab.membership.ring.to_dict(), routes(lab)) == lab.before
        assert [each["hostname"] for each in lab.kinds("replaced")] == ["Server3"]
        assert lab.membership.listed == ["Server2", "Server3", "A"]

    restart(run, tmp_path, change, check)


def test_a_restart_removes_orphans(run: Run, tmp_path: Path) -> None:
    """What half an /add has left behind."""

    def change(lab: Lab) -> None:
        lab.provisioner.replicas["X"] = Provisioned("X", 9, ("127.0.0.1", 99), "running")

    async def check(lab: Lab) -> None:
        assert set(lab.provisioner.replicas) == {"Server2", "Server3", "A"}
        assert lab.membership.listed == ["Server2", "Server3", "A"]

    restart(run, tmp_path, change, check)


def test_a_ring_that_was_changed_live_stays(run: Run, tmp_path: Path) -> None:
    """The settings have not changed: they do not undo what a command did."""
    settings = {"state_file": tmp_path / "state.json", "preset": "assignment"}
    provisioner = FakeProvisioner()

    async def change(lab: Lab) -> None:
        await lab.controller.configure(SlotRing(PRESETS["default"]))

    async def check(lab: Lab) -> None:
        assert lab.membership.ring.config == PRESETS["default"]

    run(change, provisioner=provisioner, **settings)
    run(check, names=[], provisioner=provisioner, **settings)


def test_changed_settings_win(run: Run, tmp_path: Path) -> None:
    """Somebody has changed them since: their ring is built, with the same replicas."""

    async def check(lab: Lab) -> None:
        assert lab.membership.ring.config == PRESETS["assignment"]
        assert set(lab.membership.listed) == {"Server2", "Server3", "A"}

    restart(run, tmp_path, lambda _: None, check, preset="assignment")


def test_changed_settings_that_do_not_fit(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A ring too small for the replicas there are: the old one stays, and the log says why."""

    async def check(lab: Lab) -> None:
        assert (lab.membership.ring.to_dict(), routes(lab)) == lab.before

    restart(run, tmp_path, lambda _: None, check, preset="default", slots=400)
    assert "keeping the old" in caplog.text


def test_without_a_state_what_runs_is_adopted(run: Run) -> None:
    """In the order of ids, nothing made anew."""
    provisioner = FakeProvisioner()

    async def first(lab: Lab) -> None: ...

    async def check(lab: Lab) -> None:
        assert lab.membership.listed == NAMES
        assert lab.membership.ring.nodes == tuple(NAMES)
        assert lab.provisioner.calls == []

    run(first, names=NAMES[::-1], provisioner=provisioner)
    run(check, names=[], provisioner=provisioner)


def test_a_broken_state_is_told(run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Loudly, and then as without one; the next state is a good one again."""
    path = tmp_path / "state.json"

    async def check(lab: Lab) -> None:
        assert sorted(lab.membership.listed) == ["A", "Server2", "Server3"]
        saved = StateFile(path).load()
        assert saved is not None
        assert set(saved.ring.nodes) == {"A", "Server2", "Server3"}

    with caplog.at_level(logging.ERROR):
        restart(run, tmp_path, lambda _: path.write_text("{"), check)
    assert str(path) in caplog.text
    assert path.with_suffix(".broken").read_text() == "{"


def test_the_provisioner_may_come_later(run: Run) -> None:
    """Both may have just been started: it is waited for."""
    provisioner = FakeProvisioner()
    provisioner.failures["list"] = [ProvisionerUnavailable("not yet") for _ in range(5)]

    async def check(lab: Lab) -> None:
        assert lab.membership.listed == NAMES

    run(check, provisioner=provisioner)


def test_an_unfinished_add_is_not_saved(run: Run, tmp_path: Path) -> None:
    """A crash in the midst of it leaves an orphan, not a member that must be healed."""
    path = tmp_path / "state.json"

    async def story(lab: Lab) -> None:
        lab.heartbeats.silent.add("A")
        adding = asyncio.ensure_future(lab.controller.add(1, ["A"]))
        await lab.until(lambda: "A" in lab.provisioner.replicas)
        await lab.controller._save()
        saved = StateFile(path).load()
        assert saved is not None
        assert saved.ring.nodes == tuple(NAMES)
        adding.cancel()
        await asyncio.wait([adding])

    run(story, state_file=path)


def test_states_are_saved_one_after_the_other(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Healing saves beside commands; two that write at once would write each other's file."""
    writing = 0

    async def slowly(function: Callable[..., None], *arguments: Any) -> None:
        nonlocal writing
        writing += 1
        assert writing == 1
        await asyncio.sleep(5)
        function(*arguments)
        writing -= 1

    async def story(lab: Lab) -> None:
        monkeypatch.setattr(asyncio, "to_thread", slowly)
        lab.die("Server1")
        lab.die("Server2")
        await lab.controller.add(1, ["A"])
        await lab.until(lambda: len(lab.kinds("replaced")) == 2)
        saved = StateFile(tmp_path / "state.json").load()
        assert saved is not None
        assert saved.ring.to_dict() == lab.membership.ring.to_dict()

    run(story, replacement_name="random", state_file=tmp_path / "state.json")


def test_a_ring_is_made_of_those_who_are_there_in_the_end(run: Run) -> None:
    """It is made beside the loop: a replica that healing renames meanwhile is on it."""

    async def story(lab: Lab) -> None:
        made: list[tuple[str, ...]] = []
        ring_like = lab.membership.ring_like

        def overtaken(empty: Placement) -> Placement:
            ring = ring_like(empty)
            if not made:
                lab.membership.rename(lab.membership.member("Server2"), "Server9")
            made.append(ring.nodes)
            return ring

        lab.membership.ring_like = overtaken  # type: ignore[method-assign]
        await lab.controller.configure(SlotRing(PRESETS["default"]))
        assert made == [tuple(NAMES), ("Server1", "Server3", "Server9")]
        assert lab.membership.ring.nodes == made[-1]

    run(story)


def test_the_ring_is_saved(run: Run, tmp_path: Path) -> None:
    """When a command has changed it; one that did not fit changes nothing."""

    async def story(lab: Lab) -> None:
        await lab.controller.configure(SlotRing(PRESETS["assignment"]))
        saved = StateFile(tmp_path / "state.json").load()
        assert saved is not None
        assert saved.ring.config == PRESETS["assignment"]
        await lab.controller.add(4, [])
        with pytest.raises(Conflict, match="at most 6 nodes"):
            await lab.controller.configure(SlotRing(PRESETS["seed-deployed"]))
        assert lab.membership.ring.config == PRESETS["assignment"]

    run(story, state_file=tmp_path / "state.json")


def test_closing_stops_healing_and_draining(run: Run) -> None:
    """What is unfinished is for the next start."""

    async def story(lab: Lab) -> None:
        lab.data_plane.drain_s = 1000
        lab.die("Server2")
        removing = asyncio.ensure_future(lab.controller.remove(1, ["Server1"]))
        await lab.until(lambda: lab.data_plane.drained)
        await lab.controller.close()
        await asyncio.wait([removing])
        calls = list(lab.provisioner.calls)
        await asyncio.sleep(2000)
        assert lab.provisioner.calls == calls

    run(story)
