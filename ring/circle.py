"""M slots in a circle: who has which, and the way from a key to its node.

A key belongs to the node of the nearest taken slot clockwise (upwards, M - 1 is followed by 0) of
H(key) mod M, that slot included. How nodes come by their slots is each algorithm's own matter:
`slots.py` hashes and probes, `table.py` reads them from a table.
"""

from abc import abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

import numpy as np
import numpy.typing as npt

from ring.config import AnyConfig
from ring.errors import EmptyRing, InvalidSnapshot, NodeExists, NodeUnknown
from ring.hashes import KEY_HASHES
from ring.placement import Placement

FREE, TAKEN = 0, 1
_NOBODY = -1

Config = TypeVar("Config", bound=AnyConfig)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Every step from a key to its node.

    hash: H(key), before mod M. slot: hash mod M. probes: slots passed clockwise, in range(M).
    taken_slot: where that ends, (slot + probes) mod M. node: whose slot it is.
    preference_list: all nodes in failover order, `node` first.
    """

    key: int
    hash: int
    slot: int
    probes: int
    taken_slot: int
    node: str
    preference_list: tuple[str, ...]


class Circle(Placement, Generic[Config]):
    """A circle of config.num_slots slots. Deterministic: same calls, same order, same placement.

    Not locked: one owner changes it, and hands out what `owners` and `snapshot` return.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self._key_hash = KEY_HASHES[config.key_hash]

        # The placement: node -> (node_id, slots in j order), in order of insertion.
        self._placed: dict[str, tuple[int, tuple[int, ...]]] = {}

        # The same placement seen from the slots, length M each. Bytes, because bytearray.find
        # passes a gap of thousands of slots in the time of a few steps of a Python loop.
        self._nodes: tuple[str, ...] = ()
        self._taken = bytearray(config.num_slots)
        self._node_at = np.full(config.num_slots, _NOBODY, dtype=np.int32)  # index into nodes

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"<{name} of {len(self._nodes)} nodes, at most {self.config.capacity}>"

    # Nodes

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of the nodes, in order of insertion."""
        return self._nodes

    def add(self, node: str, node_id: int) -> tuple[int, ...]:
        """Place a node and return the slots of its virtual nodes, in j order. O(M).

        NodeExists if the name is on the ring; RingFull if it finds no slots. Then nothing has
        changed. Ids need not differ.
        """
        if node in self._placed:
            raise NodeExists(f"node {node!r} is on the ring already, a new name is wanted")
        return self._place(node, node_id, self._slots_for(node, node_id))

    def remove(self, node: str) -> None:
        """Free the slots of a node; all others stay where they are. O(M). NodeUnknown."""
        slots = self.slots_of(node)
        index = self._nodes.index(node)
        del self._placed[node]
        self._nodes = tuple(self._placed)
        for slot in slots:
            self._taken[slot] = FREE
        self._node_at[self._node_at == index] = _NOBODY
        self._node_at[self._node_at > index] -= 1

    def node_id(self, node: str) -> int:
        """The id the node was added with. NodeUnknown."""
        return self._entry(node)[0]

    def slots_of(self, node: str) -> tuple[int, ...]:
        """Slots of the node's virtual nodes, length K, in j order. NodeUnknown."""
        return self._entry(node)[1]

    # Keys

    def key_slot(self, key: int) -> int:
        """H(key) mod M, in range(num_slots)."""
        return self._key_hash(key) % self.config.num_slots

    def lookup(self, key: int) -> str:
        """Node of the taken slot nearest clockwise of the key's, that slot included. EmptyRing."""
        return self._nodes[self._node_at.item(self._taken_slot(self.key_slot(key)))]

    def preference_list(self, key: int, count: int | None = None) -> tuple[str, ...]:
        """The first `count` distinct nodes clockwise, all of them if None; begins with lookup(key).

        Shorter than count when the ring has fewer nodes. EmptyRing; ValueError if count < 1.
        """
        if count is not None and count < 1:
            raise ValueError(f"count must be >= 1 or None, got {count}")
        first = self._taken_slot(self.key_slot(key))
        wanted = len(self._nodes) if count is None else min(count, len(self._nodes))
        indices: dict[int, None] = {}  # a set that keeps its order
        for slot in self._clockwise(first):
            indices[self._node_at.item(slot)] = None
            if len(indices) == wanted:
                break
        return tuple(self._nodes[index] for index in indices)

    def explain(self, key: int) -> Explanation:
        """The decision of lookup(key), step by step. EmptyRing."""
        slot = self.key_slot(key)
        taken_slot = self._taken_slot(slot)
        preference_list = self.preference_list(key)
        return Explanation(
            key=key,
            hash=self._key_hash(key),
            slot=slot,
            probes=(taken_slot - slot) % self.config.num_slots,
            taken_slot=taken_slot,
            node=preference_list[0],
            preference_list=preference_list,
        )

    def owners(self, live: Collection[str] | None = None) -> npt.NDArray[np.int32]:
        """Index into `nodes` of the owner of every slot if only the `live` nodes serve (None: all).

        A new array of length M; -1 everywhere if none of them is on the ring. The node of a key is
        nodes[owners[key_slot(key)]]. Names that are not on the ring change nothing. O(M), numpy.
        """
        wanted = frozenset(self._nodes if live is None else live)
        # One entry more than nodes, so that _NOBODY, which is the index -1, reads False.
        is_live = np.array([node in wanted for node in self._nodes] + [False])
        serves = is_live[self._node_at]
        if not serves.any():
            return np.full(self.config.num_slots, _NOBODY, dtype=np.int32)
        # As many serving slots lie before a slot as before the one that serves it; behind the last
        # of them that number is one too many, and wraps to the first.
        rank = np.cumsum(serves, dtype=np.int32) - serves
        owners: npt.NDArray[np.int32] = self._node_at[serves].take(rank, mode="wrap")
        return owners

    # History

    def copy(self) -> Self:
        """A ring of its own with the same placement and history. O(M)."""
        twin = copy(self)
        twin._placed = self._placed.copy()
        twin._taken = self._taken.copy()
        twin._node_at = self._node_at.copy()
        return twin

    def only(self, nodes: Iterable[str]) -> Self:
        """A ring of its own with these nodes, in this order, where they are here. NodeUnknown."""
        ring = type(self)(self.config)
        for node in nodes:
            ring._place(node, *self._entry(node))
        return ring

    def snapshot(self) -> dict[str, tuple[int, tuple[int, ...]]]:
        """Node -> (node_id, slots in j order), in order of insertion. Keep the config beside it."""
        return dict(self._placed)

    @classmethod
    def restore(cls, config: Config, snapshot: Mapping[str, tuple[int, Sequence[int]]]) -> Self:
        """The ring that made the snapshot, its history included; lists do for tuples, as from JSON.

        InvalidSnapshot names the node whose entry no ring of this config can hold.
        """
        ring = cls(config)
        for node, entry in snapshot.items():
            ring._place(node, *ring._checked(node, entry))
        return ring

    # The algorithm's own

    @abstractmethod
    def _slots_for(self, node: str, node_id: int) -> tuple[int, ...]:
        """Free slots for a new node. RingFull."""

    @abstractmethod
    def _check_slots(self, node: str, slots: tuple[int, ...]) -> None:
        """InvalidSnapshot if the algorithm never gives `node` these free slots."""

    # Inside

    def _entry(self, node: str) -> tuple[int, tuple[int, ...]]:
        try:
            return self._placed[node]
        except KeyError:
            known = ", ".join(self._nodes) or "none"
            raise NodeUnknown(f"node {node!r} is not on the ring; there are: {known}") from None

    def _place(self, node: str, node_id: int, slots: tuple[int, ...]) -> tuple[int, ...]:
        self._node_at[list(slots)] = len(self._nodes)
        for slot in slots:
            self._taken[slot] = TAKEN
        self._placed[node] = (node_id, slots)
        self._nodes = (*self._nodes, node)
        return slots

    def _taken_slot(self, slot: int) -> int:
        """Nearest taken slot clockwise, that slot included."""
        taken_slot = first_clockwise(self._taken, TAKEN, slot)
        if taken_slot < 0:
            raise EmptyRing("no node is on the ring, a lookup needs at least one")
        return taken_slot

    def _clockwise(self, start: int) -> Iterator[int]:
        """All taken slots, once around the ring from start."""
        for begin, end in ((start, self.config.num_slots), (0, start)):
            slot = self._taken.find(TAKEN, begin, end)
            while slot >= 0:
                yield slot
                slot = self._taken.find(TAKEN, slot + 1, end)

    def _checked(self, node: str, entry: tuple[int, Sequence[int]]) -> tuple[int, tuple[int, ...]]:
        """The entry of a snapshot, if this ring can take it; InvalidSnapshot if not."""
        num_slots = self.config.num_slots
        try:
            node_id, listed = entry
            slots = tuple(listed)
        except (TypeError, ValueError):
            raise InvalidSnapshot(f"{node!r} must have (node_id, slots), got {entry!r}") from None
        if type(node_id) is not int:
            raise InvalidSnapshot(f"node_id of {node!r} must be an integer, got {node_id!r}")
        self._check_slots(node, slots)
        seen: set[int] = set()
        for slot in slots:
            if type(slot) is not int or not 0 <= slot < num_slots:
                raise InvalidSnapshot(
                    f"slots of {node!r} must be integers in 0..{num_slots - 1}, got {slot!r}"
                )
            if self._taken[slot] or slot in seen:
                raise InvalidSnapshot(
                    f"slots of {node!r} must be free and differ, got {slot}, which is taken"
                )
            seen.add(slot)
        return node_id, slots


def first_clockwise(taken: bytearray, mark: int, slot: int) -> int:
    """First slot that bears the mark, from slot on around the ring, or -1."""
    found = taken.find(mark, slot)
    return found if found >= 0 else taken.find(mark, 0, slot)
