"""What is compared: the same task for both libraries, a hundred nodes unless said otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from uhashring import HashRing

from ring import KetamaRing, NginxRing, Placement, SlotRing

NODES = [f"node-{number}" for number in range(100)]
MANY = [f"node-{number}" for number in range(1000)]
TEXTS = [f"key-{number}" for number in range(1000)]

# Does a number of tasks, and returns how many.
Task = Callable[[], int]


@dataclass(frozen=True)
class Pair:
    """`aim`: times as fast as the peer ours is meant to be, at least."""

    title: str
    ours: Task
    peers: Task
    aim: float


def pairs() -> list[Pair]:
    """All of them, with their rings built and warm."""
    slots, nginx, theirs = filled(SlotRing()), filled(NginxRing()), HashRing(NODES)
    integers = np.arange(100_000, 1_100_000)
    words = np.array([b"key-%d" % number for number in range(1_000_000, 2_000_000)])
    knuth = filled(SlotRing(key_hash="knuth"))
    for ring in (slots, knuth, nginx):
        ring.warm()
        ring.lookup(TEXTS[0])
    one_by_one = partial(each, theirs.get_node, TEXTS)
    three = partial(each, lambda key: list(theirs.range(key, 3)), TEXTS[:100])
    return [
        Pair("SlotRing, a text", partial(each, slots.lookup, TEXTS), one_by_one, 14),
        Pair("NginxRing, a text", partial(each, nginx.lookup, TEXTS), one_by_one, 8),
        Pair(
            "SlotRing, a preference list of 3",
            partial(each, lambda key: slots.preference(key, 3), TEXTS[:100]),
            three,
            15,
        ),
        Pair("SlotRing, a million integers", partial(bulk, knuth, integers), one_by_one, 600),
        Pair("the same by splitmix64", partial(bulk, slots, integers), one_by_one, 200),
        Pair("NginxRing, a million texts", partial(bulk, nginx, words), one_by_one, 140),
        Pair(
            "KetamaRing, 1,000 nodes built, and a key",
            lambda: build(KetamaRing()),
            lambda: built_by_peer(),
            25,
        ),
        Pair(
            "NginxRing, one node more beside 1,000, and a key",
            joined(NginxRing()),
            joined_by_peer(),
            1000,
        ),
    ]


def filled(placement: Placement, nodes: list[str] = NODES) -> Placement:
    for node in nodes:
        placement.add(node)
    return placement


def each(ask: Callable[[str], object], keys: list[str]) -> int:
    for key in keys:
        ask(key)
    return len(keys)


def bulk(placement: Placement, keys: np.ndarray) -> int:
    placement.lookup_many(keys)
    return len(keys)


def build(placement: Placement) -> int:
    filled(placement, MANY).lookup_many(["a key"])
    return 1


def built_by_peer() -> int:
    HashRing(MANY, hash_fn="ketama").get_node("a key")
    return 1


def joined(placement: Placement) -> Task:
    """A node comes, a key is looked up, and it goes again, so that the next one can come."""
    filled(placement, MANY)

    def come_and_go() -> int:
        placement.add("newcomer")
        placement.lookup_many(["a key"])
        placement.remove("newcomer")
        return 1

    return come_and_go


def joined_by_peer() -> Task:
    theirs = HashRing(MANY, hash_fn="ketama")

    def come_and_go() -> int:
        theirs.add_node("newcomer")
        theirs.get_node("a key")
        theirs.remove_node("newcomer")
        return 1

    return come_and_go
