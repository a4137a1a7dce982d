"""The routing table: the ring's own answers, for those in service."""

import random

import pytest
from load_balancer.routing import Replica, RoutingTable

from ring import ALGORITHMS, PRESETS, BoundedLoads, JumpHash, Placement, RingConfig, SlotRing, make

REPLICAS = {f"Server{i}": Replica(f"Server{i}", ("127.0.0.1", i)) for i in range(1, 5)}
KEYS = [random.Random(1729).randrange(10**6) for _ in range(300)]


def table(config: RingConfig, *serving: str) -> tuple[SlotRing, RoutingTable]:
    ring = SlotRing(config)
    for server_id, hostname in enumerate(REPLICAS, start=1):
        ring.add(hostname, node_id=server_id)
    return ring, RoutingTable(ring, {name: REPLICAS[name] for name in serving}, 1)


@pytest.mark.parametrize("preset", PRESETS)
def test_all_serve(preset: str) -> None:
    """Then a key goes where the ring says."""
    ring, routing = table(PRESETS[preset], *REPLICAS)
    for key in [*KEYS, 0, -7, 2**80]:
        assert routing.route(key) is REPLICAS[ring.lookup(key)]


@pytest.mark.parametrize("preset", PRESETS)
def test_the_failover_order_begins_with_the_route(preset: str) -> None:
    """It is the ring's preference list less those out of service, and agrees with `route`."""
    ring, routing = table(PRESETS[preset], "Server2", "Server4")
    for key in KEYS:
        order = routing.failover_order(key)
        expected = [name for name in ring.preference(key) if name in routing.replicas]
        assert [replica.hostname for replica in order] == expected
        assert routing.route(key) is order[0]


@pytest.mark.parametrize("serving", [("Server2", "Server4"), tuple(REPLICAS)], ids=len)
@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS.keys() - {"table", "bounded"}))
def test_every_algorithm(algorithm: str, serving: tuple[str, ...]) -> None:
    """A key goes to the first of the algorithm's own order who serves, integers and others."""
    ring = make(algorithm)
    for server_id, hostname in enumerate(REPLICAS, start=1):
        ring.add(hostname, node_id=server_id)
    routing = RoutingTable(ring, {name: REPLICAS[name] for name in serving}, 1)
    assert routing.load_factor is None
    for key in [*KEYS, 0, -7, 2**80]:
        expected = [name for name in ring.preference(key) if name in serving]
        assert [replica.hostname for replica in routing.failover_order(key)] == expected
        assert routing.route(key) is REPLICAS[expected[0]]


@pytest.mark.parametrize("placement", [SlotRing(PRESETS["default"]), JumpHash()])
def test_bounds_are_for_those_who_count(placement: Placement) -> None:
    """The table gives the way without them, and says how tight they are."""
    ring = BoundedLoads(placement, 1.5)
    for hostname in REPLICAS:
        ring.add(hostname)
        ring.acquire(7)
    routing = RoutingTable(ring, REPLICAS, 1)
    assert routing.load_factor == 1.5
    for key in KEYS:
        assert routing.route(key) is REPLICAS[ring.placement.lookup(key)]


def test_only_keys_of_the_absent_move() -> None:
    """A replica out of service hands its keys on clockwise; all others stay."""
    ring, routing = table(PRESETS["default"], "Server1", "Server2", "Server3")
    for key in KEYS:
        expected = next(name for name in ring.preference(key) if name != "Server4")
        assert routing.route(key) is REPLICAS[expected]


def test_nobody_serves() -> None:
    """No replica, no order; on an empty ring neither."""
    _, routing = table(PRESETS["default"])
    empty = RoutingTable(SlotRing(PRESETS["default"]), {}, 0)
    for each in (routing, empty):
        assert each.route(7) is None
        assert each.failover_order(7) == []


def test_a_table_does_not_change() -> None:
    """What was handed in may; who reads the table sees one moment."""
    serving = dict(REPLICAS)
    ring, _ = table(PRESETS["default"])
    routing = RoutingTable(ring.copy(), serving, 1)
    before = [routing.route(key) for key in KEYS]
    serving.clear()
    ring.remove("Server1")
    assert [routing.route(key) for key in KEYS] == before
    assert [routing.failover_order(key)[0] for key in KEYS] == before


def test_lives_differ() -> None:
    """A replica of the same name and address is another one."""
    assert Replica("Server1", ("127.0.0.1", 1)) != Replica("Server1", ("127.0.0.1", 1))
