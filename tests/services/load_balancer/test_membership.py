"""Membership: each change is one step that takes effect whole, or changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from load_balancer.errors import BadRequest, Conflict, UnknownReplica
from load_balancer.events import EventLog
from load_balancer.health import Evidence, State, Thresholds
from load_balancer.membership import Member, Membership
from load_balancer.routing import Replica, RoutingTable

from ring import PRESETS, SlotRing

ADDRESS = ("127.0.0.1", 1)
SEED_DEPLOYED = PRESETS["seed-deployed"]  # room for 6 replicas


class Observer:
    """What membership told, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[str, object]] = []

    def table_published(self, table: RoutingTable) -> None:
        self.told.append(("table", sorted(table.replicas)))

    def replica_started(self, member: Member, replica: Replica) -> None:
        self.told.append(("started", replica))

    def replica_suspected(self, replica: Replica) -> None:
        self.told.append(("suspected", replica))

    def replica_died(self, member: Member, replica: Replica) -> None:
        self.told.append(("died", replica))


@pytest.fixture
def events() -> EventLog:
    return EventLog()


@pytest.fixture
def observer() -> Observer:
    return Observer()


@pytest.fixture
def clock() -> list[float]:
    return [100.0]


@pytest.fixture
def membership(
    events: EventLog, observer: Observer, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> Membership:
    """An empty one, whose clock is moved by hand."""
    monkeypatch.setattr(Membership, "_now", staticmethod(lambda: clock[0]))
    made = Membership(SlotRing(SEED_DEPLOYED), Thresholds(fall=2, rise=2), events)
    made.observers.append(observer)
    return made


def serve(membership: Membership, *hostnames: str) -> list[Replica]:
    """Adds replicas that are alive."""
    members = membership.reserve(hostnames)
    replicas = [membership.start(member, ADDRESS) for member in members]
    membership.join(members)
    for replica in replicas:
        membership.learn(replica, Evidence.ANSWERED)
    return replicas


def picture(membership: Membership) -> Any:
    """All that a refused change must leave as it is."""
    return (
        membership.ring.to_dict(),
        [(m.hostname, m.server_id, m.joined, m.replica) for m in membership.members.values()],
        membership.table,
    )


# Reserving, joining


def test_life_of_a_member(membership: Membership, observer: Observer, events: EventLog) -> None:
    """Reserved it holds its slots, joined and alive it serves and is listed."""
    (member,) = membership.reserve(["Server1"])
    assert (membership.joined, membership.listed) == ([], [])
    assert membership.ring.nodes == ("Server1",)
    replica = membership.start(member, ADDRESS)
    membership.learn(replica, Evidence.ANSWERED)
    assert membership.table.route(7) is None
    membership.join([member])
    assert (membership.joined, membership.listed) == (["Server1"], ["Server1"])
    assert membership.table.route(7) is replica
    assert [event.kind for event in events.since(0)] == ["alive", "joined"]
    assert ("started", replica) in observer.told


def test_a_joined_one_serves_once_it_answers(membership: Membership) -> None:
    """Not before; `answers` tells those who wait."""
    (member,) = membership.reserve(["Server1"])
    replica = membership.start(member, ADDRESS)
    membership.join([member])
    assert (membership.listed, member.answers.is_set()) == ([], False)
    membership.learn(replica, Evidence.ANSWERED)
    assert (membership.listed, member.answers.is_set()) == (["Server1"], True)


@pytest.mark.parametrize(
    ("hostnames", "ids"),
    [
        (["Server1", "Server2"], [1, 2]),
        (["Server2", "Server1"], [2, 1]),
        (["S5", "S4"], [1, 2]),
        (["Server2", "S5", "S4"], [2, 1, 3]),
        (["S5", "Server1"], [1, 2]),
        (["Server7", "Server07", "Server0", "server3"], [7, 1, 2, 3]),
        (["Server1000000000", "Server999999999"], [1, 999_999_999]),
    ],
)
def test_ids(membership: Membership, hostnames: list[str], ids: list[int]) -> None:
    """K for ServerK while free, else the smallest that is free, from 1."""
    assert [member.server_id for member in membership.reserve(hostnames)] == ids


def test_ids_of_those_who_left_are_free(membership: Membership) -> None:
    """The smallest gap is filled."""
    membership.reserve(["A", "B", "C"])
    membership.remove(["B"])
    (member,) = membership.reserve(["D"])
    assert member.server_id == 2


@pytest.mark.parametrize(
    ("hostnames", "error", "named"),
    [
        (["New", "Server1"], Conflict, "'Server1'"),
        (["New", "SERVER1"], Conflict, "'SERVER1' is already present, as 'Server1'"),
        (["New", "Other", "New"], BadRequest, "'New' is given twice"),
        (["New", "nEW"], Conflict, "'nEW' is given twice, the other time as 'New'"),
        (["New", ""], BadRequest, "1 to 63 letters, digits and inner hyphens, got ''"),
        (["New", "a_b"], BadRequest, "'a_b'"),
        (["New", "-a"], BadRequest, "'-a'"),
        (["New", "a-"], BadRequest, "'a-'"),
        (["New", "a.b"], BadRequest, "'a.b'"),
        (["New", "a/b"], BadRequest, "'a/b'"),
        (["New", "ä"], BadRequest, "'ä'"),
        (["New", "a\n"], BadRequest, "a\\\\n"),
        (["New", "a" * 64], BadRequest, "a" * 64),
        (["A", "B", "C", "D", "E", "F"], Conflict, "at most 6 nodes"),
    ],
)
def test_a_bad_reservation_changes_nothing(
    membership: Membership,
    observer: Observer,
    hostnames: list[str],
    error: type[Exception],
    named: str,
) -> None:
    """Not even for those in it that were good; the message names the culprit."""
    serve(membership, "Server1")
    before = picture(membership)
    observer.told.clear()
    with pytest.raises(error, match=named):
        membership.reserve(hostnames)
    assert picture(membership) == before
    assert observer.told == []


@pytest.mark.parametrize("hostname", ["a", "A1", "0", "a-b--c", "a" * 63])
def test_good_hostnames(membership: Membership, hostname: str) -> None:
    """One label of a host name (RFC 1123 §2.1)."""
    assert membership.reserve([hostname])[0].hostname == hostname


# Leaving, renaming, restoring


def test_removal(membership: Membership, observer: Observer) -> None:
    """Out of ring, members and table in one step, before anybody is told."""
    first, second = serve(membership, "Server1", "Server2")
    observer.told.clear()
    (left,) = membership.remove(["Server1"])
    assert (left.hostname, left.replica) == ("Server1", first)
    assert observer.told == [("table", ["Server2"])]
    assert all(membership.table.route(key) is second for key in range(50))


def test_a_bad_removal_changes_nothing(membership: Membership) -> None:
    """One unknown name among known ones; it and what there is are named."""
    serve(membership, "Server1", "Server2")
    before = picture(membership)
    with pytest.raises(
        UnknownReplica, match="'Server9' is no replica; there are: Server1, Server2"
    ):
        membership.remove(["Server1", "Server9"])
    assert picture(membership) == before


def test_only_its_keys_move(membership: Membership) -> None:
    """Joining takes keys, leaving gives its own; all others stay (the ring's law)."""
    serve(membership, "Server1", "Server2", "Server3")
    before = [membership.table.route(key) for key in range(2000)]
    (fourth,) = serve(membership, "Server4")
    during = [membership.table.route(key) for key in range(2000)]
    assert all(a is b or b is fourth for a, b in zip(before, during, strict=True))
    assert fourth in during
    membership.remove(["Server4"])
    assert [membership.table.route(key) for key in range(2000)] == before


def test_renaming(membership: Membership) -> None:
    """The member stays, with another name, id and slots."""
    serve(membership, "Server1", "Server2")
    member = membership.member("Server1")
    membership.rename(member, "Server7")
    assert membership.member("Server7") is member
    assert (member.server_id, membership.joined) == (7, ["Server2", "Server7"])
    assert membership.ring.nodes == ("Server2", "Server7")


def test_reordering(membership: Membership) -> None:
    """Those that are named come first, as they are named; names of nobody are passed over, for
    healing may have renamed one meanwhile. Where keys go stays."""
    serve(membership, "Server1", "Server2", "Server3")
    slots = membership.ring.to_dict()
    membership.reorder(["Server3", "Gone", "Server2"])
    assert membership.listed == ["Server3", "Server2", "Server1"]
    assert membership.ring.to_dict() == slots
    assert membership.joined == ["Server3", "Server2", "Server1"]


def test_a_bad_renaming_changes_nothing(membership: Membership) -> None:
    """To a name that is taken."""
    serve(membership, "Server1", "Server2")
    before = picture(membership)
    with pytest.raises(Conflict, match="Server2"):
        membership.rename(membership.member("Server1"), "Server2")
    assert picture(membership) == before


def test_restoring(membership: Membership) -> None:
    """A saved ring as it was, its members joined, and none of them serving yet."""
    serve(membership, "Server1", "Server2", "Server3")
    membership.remove(["Server1"])
    saved = membership.joined_ring()
    other = Membership(SlotRing(PRESETS["default"]), Thresholds(1, 1), EventLog())
    other.restore(saved, membership.joined)
    assert other.ring.to_dict() == membership.ring.to_dict()
    assert (other.joined, other.listed) == (["Server2", "Server3"], [])
    assert [member.server_id for member in other.members.values()] == [2, 3]


def test_what_is_saved_leaves_out_who_joins(membership: Membership) -> None:
    """A restart must not find half an /add."""
    serve(membership, "Server1")
    membership.reserve(["Server2"])
    assert membership.joined_ring().nodes == ("Server1",)
    assert membership.ring.nodes == ("Server1", "Server2")


# The ring


def test_another_ring(membership: Membership, events: EventLog) -> None:
    """Members in the order of their ids, whatever their history; who is told what it is now."""
    serve(membership, "Server3", "Server1", "Server2")
    membership.configure(SlotRing(PRESETS["assignment"]))
    assert membership.ring.nodes == ("Server1", "Server2", "Server3")
    assert membership.listed == ["Server3", "Server1", "Server2"]
    assert events.since(0)[-1].kind == "ring"
    assert events.since(0)[-1].detail["num_slots"] == 512
    assert membership.table.route(7) is not None


def test_a_ring_that_is_too_small_changes_nothing(
    membership: Membership, observer: Observer, events: EventLog
) -> None:
    """Who does not fit is named with the capacity, and all serve on as before."""
    membership.configure(SlotRing(PRESETS["default"]))
    serve(membership, *(f"Server{number}" for number in range(1, 8)))
    before, last = picture(membership), events.last_id
    observer.told.clear()
    with pytest.raises(Conflict, match="at most 6 nodes"):
        membership.configure(SlotRing(SEED_DEPLOYED))
    assert picture(membership) == before
    assert (observer.told, events.last_id) == ([], last)


# Learning


def test_suspicion(membership: Membership, observer: Observer, events: EventLog) -> None:
    """A refused connection takes a replica out of the table at once; it is still listed."""
    first, _ = serve(membership, "Server1", "Server2")
    observer.told.clear()
    membership.learn(first, Evidence.REFUSED)
    assert observer.told == [("table", ["Server2"]), ("suspected", first)]
    assert membership.listed == ["Server1", "Server2"]
    assert events.since(0)[-1].as_dict()["after"] == "refused"


def test_death(membership: Membership, observer: Observer) -> None:
    """Out of the table, then out of the list; the ring keeps its place."""
    first, _ = serve(membership, "Server1", "Server2")
    membership.learn(first, Evidence.MISSED)
    assert "Server1" in membership.table.replicas
    observer.told.clear()
    membership.learn(first, Evidence.MISSED)
    assert observer.told == [("table", ["Server2"]), ("died", first)]
    assert (membership.listed, membership.joined) == (["Server2"], ["Server1", "Server2"])
    assert "Server1" in membership.ring.nodes
    assert not membership.member("Server1").answers.is_set()


def test_suspects_are_better_than_nobody(membership: Membership) -> None:
    """With nobody alive, those who are only suspected serve; the dead never."""
    first, second = serve(membership, "Server1", "Server2")
    for replica in (first, second):
        membership.learn(replica, Evidence.REFUSED)
    assert sorted(membership.table.replicas) == ["Server1", "Server2"]
    membership.learn(first, Evidence.REFUSED)
    assert sorted(membership.table.replicas) == ["Server2"]
    membership.learn(second, Evidence.REFUSED)
    assert membership.table.route(7) is None


def test_the_dead_are_better_than_nobody_if_nobody_replaces_them(events: EventLog) -> None:
    """Servers that we do not manage may be back before their heartbeat says so."""
    thresholds = Thresholds(fall=2, rise=2)
    membership = Membership(SlotRing(SEED_DEPLOYED), thresholds, events, keeps_dead=True)
    membership._now = lambda: 100.0  # type: ignore[method-assign]
    first, second = serve(membership, "Server1", "Server2")
    for _ in range(2):
        membership.learn(first, Evidence.REFUSED)
    assert sorted(membership.table.replicas) == ["Server2"]
    for _ in range(2):
        membership.learn(second, Evidence.REFUSED)
    assert sorted(membership.table.replicas) == ["Server1", "Server2"]


def test_a_past_life_teaches_nothing(membership: Membership, observer: Observer) -> None:
    """Nor does one of a member that has left."""
    (old,) = serve(membership, "Server1")
    member = membership.member("Server1")
    new = membership.start(member, ADDRESS)
    membership.learn(new, Evidence.ANSWERED)
    observer.told.clear()
    for evidence in Evidence:
        membership.learn(old, evidence)
        membership.learn(old, evidence)
    assert (member.health.state, observer.told) == (State.ALIVE, [])
    membership.remove(["Server1"])
    observer.told.clear()
    membership.learn(new, Evidence.REFUSED)
    assert observer.told == []


def test_a_late_answer_does_not_acquit(membership: Membership, clock: list[float]) -> None:
    """A heartbeat that was sent before the suspicion arose says nothing about it."""
    (replica,) = serve(membership, "Server1")
    clock[0] = 110.0
    membership.learn(replica, Evidence.REFUSED)
    membership.learn(replica, Evidence.ANSWERED, asked_at=109.9)
    assert membership.member("Server1").health.state is State.SUSPECT
    membership.learn(replica, Evidence.ANSWERED, asked_at=110.0)
    assert membership.member("Server1").health.state is State.ALIVE


def test_versions_grow(membership: Membership) -> None:
    """Every published table is newer than the one before."""
    versions = [membership.table.version]
    serve(membership, "Server1")
    versions.append(membership.table.version)
    membership.configure(SlotRing(PRESETS["default"]))
    versions.append(membership.table.version)
    assert versions == sorted(set(versions))


@pytest.mark.parametrize("question", ["listed", "joined"])
def test_questions_may_come_from_other_threads(
    membership: Membership, question: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The admin API asks while the event loop changes members; here, in the midst of the asking."""
    serve(membership, "Server1", "Server2")

    newcomer = Member("Server3", 3)

    def change(_: Member) -> bool:
        membership.members["Server3"] = newcomer
        return True

    monkeypatch.setattr(Member, "is_listed", property(change))
    monkeypatch.setattr(Member, "joined", property(change), raising=False)
    assert getattr(membership, question)[:2] == ["Server1", "Server2"]
