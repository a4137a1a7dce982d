"""Bounded loads in the data plane: who has too many in flight is passed over, as the paper says."""

from __future__ import annotations

import random
from collections import Counter
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING

import pytest

from ring import BoundedLoads

from .conftest import HOSTNAMES

if TYPE_CHECKING:
    from .conftest import Lab, Peer

GET = b"GET /home HTTP/1.1\r\nHost: lab\r\nX-Request-ID: %d\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def bound(lab: Lab, load_factor: float, *hostnames: str) -> BoundedLoads:
    """Publishes a table with that bound; a twin of its ring, to count by."""
    lab.ring = BoundedLoads(lab.ring, load_factor)  # type: ignore[assignment]
    lab.serve(*(hostnames or HOSTNAMES))
    twin = lab.ring.copy()
    for name in HOSTNAMES:
        if hostnames and name not in hostnames:
            twin.remove(name)
    return twin


def ask(lab: Lab, key: int) -> tuple[str, Peer]:
    """A request that is not answered yet: who has it, and by which connection."""
    upstream = lab.ask(lab.client(), GET % key)
    return next(name for name, peers in lab.connections.items() if upstream in peers), upstream


@pytest.mark.parametrize("load_factor", [1.01, 1.25, 2])
def test_a_hot_key_spreads(lab: Lab, load_factor: float) -> None:
    """All requests have one key: each goes where the library says, and nobody has ever more than
    ⌈c · m / n⌉ of m in flight."""
    ring = bound(lab, load_factor)
    loads: Counter[str] = Counter()
    for num_keys in range(1, 40):
        name, _ = ask(lab, 1)
        loads[name] += 1
        assert name == ring.acquire(1)
        assert max(loads.values()) <= ceil(Fraction(str(load_factor)) * num_keys / 3)
    assert lab.server.in_flight == dict(loads)


@pytest.mark.parametrize("hostnames", [(), ("Server1", "Server3")], ids=["all", "two"])
def test_loads_come_and_go(lab: Lab, hostnames: tuple[str, ...]) -> None:
    """Many keys, answers in any order: the same choices as the library's, whoever is in service."""
    ring = bound(lab, 1.25, *hostnames)
    chance = random.Random(1608)
    asked: list[tuple[str, Peer]] = []
    for _ in range(300):
        if asked and chance.random() < 0.45:
            name, upstream = asked.pop(chance.randrange(len(asked)))
            upstream.send(OK)
            ring.release(name)
        else:
            key = chance.choice([1, 1, 1, chance.randrange(1000)])
            asked.append(ask(lab, key))
            assert asked[-1][0] == ring.acquire(key)
    assert len(asked) > 20


def test_who_takes_over_has_room(lab: Lab) -> None:
    """A refused connection leads to the next who may have one more, not merely to the next."""
    first, second, third = lab.order(b"1")
    key_of = {name: next(k for k in range(99) if lab.ring.lookup(k) == name) for name in HOSTNAMES}
    bound(lab, 1.01)
    for name in (second, first, third, second):
        assert ask(lab, key_of[name])[0] == name
    lab.refuse(first)
    assert ask(lab, 1)[0] == third  # five are at most two each


def test_idle_replicas_get_their_keys(lab: Lab) -> None:
    """One request at a time never meets a bound."""
    unbounded = lab.ring
    bound(lab, 1.01)
    for key in range(50):
        name, upstream = ask(lab, key)
        upstream.send(OK)
        assert name == unbounded.lookup(key)


def test_without_a_bound_a_hot_key_has_one_replica(lab: Lab) -> None:
    """Taken back, everything is as before."""
    unbounded = lab.ring
    bound(lab, 1.25)
    ask(lab, 1)
    lab.ring = unbounded
    lab.serve(*HOSTNAMES)
    assert {ask(lab, 1)[0] for _ in range(20)} == {unbounded.lookup(1)}


def test_nobody_serves(lab: Lab) -> None:
    """Then a bound helps nobody: 503, as without one."""
    lab.ring = BoundedLoads(lab.ring, 1.25)  # type: ignore[assignment]
    lab.serve()
    client = lab.client()
    client.send(GET % 1)
    assert client.statuses == [503]
