"""Snapshots: the routing table that goes out is the one that arrives."""

from __future__ import annotations

import random
from typing import Any

import pytest
from load_balancer import messages, snapshot
from load_balancer.errors import BadMessage
from load_balancer.health import Health, State
from load_balancer.membership import Member
from load_balancer.messages import Life, Snapshot
from load_balancer.routing import Replica, RoutingTable

from ring import ALGORITHMS, PRESETS, BoundedLoads, Placement, SlotRing, TableRing, make

NAMES = [f"Server{number}" for number in range(1, 6)]
KEYS = [random.Random(1729).randrange(10**6) for _ in range(300)] + [0, -7, 2**80]
RINGS: dict[str, Placement] = {
    **{name: make(name) for name in sorted(ALGORITHMS.keys() - {"table", "bounded"})},
    **{f"bounded-{name}": BoundedLoads(make(name), 1.25) for name in ("slots", "maglev", "jump")},
    **{f"slots-{name}": SlotRing(preset) for name, preset in PRESETS.items()},
    "table": TableRing(key_hash="splitmix64", table=NAMES * 3 + NAMES[:2]),
}


def with_history(empty: Placement) -> Placement:
    """NAMES, of which some have left and come back, where they may."""
    ring = empty.copy()
    for name in NAMES:
        ring.add(name)
    for name in ("Server2", "Server4") if ring.can_remove_any else (NAMES[-1],):
        ring.remove(name)
        ring.add(name)
    return ring


def as_received(taken: Snapshot) -> Snapshot:
    received = messages.parse(taken.line, messages.FROM_CONTROL_PLANE)
    assert isinstance(received, Snapshot)
    return received


@pytest.mark.parametrize("serving", [NAMES, ["Server2", "Server5"], []], ids=len)
@pytest.mark.parametrize("name", RINGS)
def test_round_trip(name: str, serving: list[str]) -> None:
    """The same answers and the same failover order, by every algorithm, whoever serves."""
    ring = with_history(RINGS[name])
    replicas = {each: Replica(each, ("127.0.0.1", at)) for at, each in enumerate(NAMES)}
    table = RoutingTable(ring, {each: replicas[each] for each in serving}, 17)
    members = [
        Member(each, at, replica=replicas[each], health=Health(State.ALIVE))
        for at, each in enumerate(NAMES)
    ]
    numbers = {replica: 100 + at for at, replica in enumerate(replicas.values())}
    taken = snapshot.taken(17, ring, snapshot.lives(members, [], table, numbers))

    received = as_received(taken)
    theirs = {
        each.life: Replica(each.hostname, (each.host, each.port)) for each in received.replicas
    }
    copy = snapshot.table_of(received, snapshot.ring_of(received), theirs)
    assert (17, table.load_factor) == (copy.version, copy.load_factor)
    assert {each: replicas[each].address for each in serving} == {
        each: replica.address for each, replica in copy.replicas.items()
    }
    for key in KEYS:
        ours, found = table.route(key), copy.route(key)
        assert (ours and ours.hostname) == (found and found.hostname)
        assert [each.hostname for each in table.failover_order(key)] == [
            each.hostname for each in copy.failover_order(key)
        ]


def test_lives() -> None:
    """Each with its state; who leaves serves nobody, even if a successor has its name; who has no
    replica is not there."""
    old, new, dead = (Replica("Server1", ("h", port)) for port in (1, 2, 3))
    members = [
        Member("Server1", 1, replica=new, health=Health(State.ALIVE)),
        Member("Server2", 2, replica=dead, health=Health(State.DEAD)),
        Member("Server3", 3),
    ]
    leaving = [Member("Server1", 1, replica=old, health=Health(State.SUSPECT))]
    table = RoutingTable(SlotRing(PRESETS["default"]), {"Server1": new}, 1)
    numbers = {old: 1, new: 2, dead: 3}
    assert [
        (2, State.ALIVE, True, False),
        (3, State.DEAD, False, False),
        (1, State.SUSPECT, False, True),
    ] == [
        (each.life, each.state, each.serves, each.leaves)
        for each in snapshot.lives(members, leaving, table, numbers)
    ]


@pytest.mark.parametrize(
    "ring",
    [
        {},
        {"algorithm": "magic", "parameters": {}, "nodes": []},
        {"algorithm": "jump", "parameters": {"hash": "magic"}, "nodes": []},
        {"algorithm": "jump", "parameters": {}, "nodes": [7]},
        {"algorithm": "jump", "parameters": [], "nodes": {}},
    ],
)
def test_a_ring_that_cannot_be(ring: dict[str, Any]) -> None:
    """It is the sender's fault, whatever is wrong with it."""
    with pytest.raises(BadMessage, match="ring"):
        snapshot.ring_of(Snapshot(version=1, ring=ring, replicas=[]))


def test_a_replica_that_is_not_on_the_ring() -> None:
    """It could never be found."""
    life = Life(
        life=1,
        hostname="Stray",
        host="h",
        port=1,
        state=State.ALIVE,
        serves=True,
        leaves=False,
    )
    ring = with_history(make("jump"))
    taken = Snapshot(version=1, ring=ring.to_dict(), replicas=[life])
    with pytest.raises(BadMessage, match="ring: Stray"):
        snapshot.table_of(taken, ring, {1: Replica("Stray", ("h", 1))})
