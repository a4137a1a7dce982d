"""M slots in a circle: who has which, and the way from a key to its node.

A key belongs to the node of the nearest taken slot clockwise (upwards, M - 1 is followed by 0) of
H(key) mod M, that slot included. How nodes come by their slots is each algorithm's own matter:
`slots.py` hashes and probes, `table.py` reads them from a table.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Generic, Self, TypeVar

import numpy as np
import numpy.typing as npt

from ring.config import AnyConfig
from ring.errors import InvalidSnapshot, RingError
from ring.hashes import KEY_HASHES, TEXT_HASHES, hash_many
from ring.keys import PIECE, Key, Keys
from ring.placement import Indices, Node, Placement, no_nodes

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

    key: Key
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
        super().__init__()
        self.config = config
        self._key_hash = KEY_HASHES[config.key_hash]
        self._text_hash = TEXT_HASHES[config.key_hash]
        self._num_slots = config.num_slots

        # The placement: node -> slots in j order, in order of insertion.
        self._slots: dict[str, tuple[int, ...]] = {}

        # The same placement seen from the slots, length M each. Bytes, because bytearray.find
        # passes a gap of thousands of slots in the time of a few steps of a Python loop.
        self._taken = bytearray(config.num_slots)
        self._node_at = np.full(config.num_slots, _NOBODY, dtype=np.int32)  # index into nodes

        # And from the keys: index into nodes of each slot's owner, when first asked for. Lists,
        # because indexing one takes a tenth of indexing an array.
        self._owner_at: list[int] | None = None
        self._name_at: list[str] = []  # empty until then; no other ring's
        self._next_at: list[int] = []  # the next slot clockwise that is somebody else's
        self._owners = np.empty(0, np.intp)

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"<{name} of {len(self._nodes)} nodes, at most {self.config.capacity}>"

    # Nodes

    def add(self, node: str, weight: int = 1, *, node_id: int | None = None) -> tuple[int, ...]:
        """Place a node and return the slots of its virtual nodes, in j order. O(M).

        NodeExists if the name is on the ring; RingFull if it finds no slots; InvalidWeight. Then
        nothing has changed. Ids need not differ.
        """
        super().add(node, weight, node_id=node_id)
        return self._slots[node]

    def node_id(self, node: str) -> int:
        """The id the node was added with. NodeUnknown."""
        return self.node(node).node_id

    def slots_of(self, node: str) -> tuple[int, ...]:
        """Slots of the node's virtual nodes, in j order. NodeUnknown."""
        return self._slots[self.node(node).name]

    def shares(self) -> dict[str, float]:
        """Node -> share of the slots that are its keys', in 0..1; they sum to 1. EmptyRing."""
        self._wanted(None)
        owned = np.bincount(self.owners(), minlength=len(self._nodes)) / self._num_slots
        return dict(zip(self._nodes, owned.tolist(), strict=True))

    # Keys

    def key_hash(self, key: Key) -> int:
        """H(key), before mod M."""
        return self._key_hash(key)

    def key_slot(self, key: Key) -> int:
        """H(key) mod M, in range(num_slots)."""
        return self._key_hash(key) % self._num_slots

    def lookup(self, key: Key) -> str:
        """Node of the taken slot nearest clockwise of the key's, that slot included. EmptyRing."""
        try:
            if type(key) is str:  # the quick way
                return self._name_at[self._text_hash(key.encode()) % self._num_slots]
            return self._name_at[self._key_hash(key) % self._num_slots]
        except (IndexError, UnicodeEncodeError):
            pass
        if not self._name_at:  # the first time after a change
            self._name_at = self._names_by_slot()
            if type(key) is str:
                self._quicken(self._text_finder(self._name_at))
        return self._name_at[self._key_hash(key) % self._num_slots]  # lone surrogates, too

    def lookup_many(self, keys: Keys) -> Indices:
        if not len(keys):
            return np.empty(0, np.intp)
        self._wanted(None)
        if self._owner_at is None:
            self._resolve()
        found = np.empty(len(keys), np.intp)
        for start in range(0, len(keys), PIECE):  # each piece's way is done within the cache
            slots = hash_many(self.config.key_hash, keys[start : start + PIECE], self._num_slots)
            indices = slots.view(np.intp)  # of another type they would be copied
            self._owners.take(indices, out=found[start : start + PIECE], mode="clip")
        return found

    def preference(self, key: Key, count: int | None = None) -> tuple[str, ...]:
        """The first `count` distinct nodes clockwise, all of them if None; begins with lookup(key).

        Shorter than count when the ring has fewer nodes. EmptyRing; ValueError if count < 1.
        """
        # Looked at again only if it may be wrong, for this is asked often.
        wanted = count if count and 0 < count <= len(self._nodes) else self._wanted(count)
        owner_at = self._owner_at or self._resolve()
        if type(key) is str and key.isascii():  # the quick way
            slot = self._text_hash(key.encode()) % self._num_slots
        else:
            slot = self._key_hash(key) % self._num_slots
        found, next_at = [owner_at[slot]], self._next_at
        while len(found) < wanted:
            slot = next_at[slot]
            owner = owner_at[slot]
            if owner not in found:
                found.append(owner)
        nodes = self._nodes
        return tuple([nodes[owner] for owner in found])

    def explain(self, key: Key) -> Explanation:
        """The decision of lookup(key), step by step. EmptyRing."""
        slot = self.key_slot(key)
        taken_slot = first_clockwise(self._taken, TAKEN, slot)
        if taken_slot < 0:
            raise no_nodes()
        preference_list = self.preference(key)
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
        twin = super().copy()
        twin._slots = self._slots.copy()
        twin._taken = self._taken.copy()
        twin._node_at = self._node_at.copy()
        twin._name_at = []
        return twin

    def snapshot(self) -> dict[str, tuple[int, tuple[int, ...]]]:
        """Node -> (node_id, slots in j order), in order of insertion. Keep the config beside it."""
        return {node: (self.node_id(node), slots) for node, slots in self._slots.items()}

    @classmethod
    def restore(cls, config: Config, snapshot: Mapping[str, tuple[int, Sequence[int]]]) -> Self:
        """The ring that made the snapshot, its history included; lists do for tuples, as from JSON.

        InvalidSnapshot names the node whose entry no ring of this config can hold.
        """
        ring = cls(config)
        for node, entry in snapshot.items():
            node_id, slots = ring._checked(node, entry)
            ring._put(Node(node, ring._weight_of(slots), node_id), slots)
        return ring

    def parameters(self) -> dict[str, Any]:
        fields = asdict(self.config)
        del fields["algorithm"]
        return fields

    def summary(self) -> dict[str, Any]:
        return self.config.summary()

    def to_dict(self) -> dict[str, Any]:
        """As every placement's; each node with its slots, for they are history."""
        data = super().to_dict()
        for each in data["nodes"]:
            each["slots"] = list(self._slots[each["name"]])
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The ring that `to_dict` took apart, its history included. InvalidSnapshot."""
        try:
            config = cls(**data["parameters"]).config
            nodes = {each["name"]: (each["node_id"], each["slots"]) for each in data["nodes"]}
        except (KeyError, TypeError, RingError) as error:
            raise InvalidSnapshot(f"not a snapshot of {cls.algorithm}: {error!r}") from error
        return cls.restore(config, nodes)

    # The algorithm's own

    @abstractmethod
    def _slots_for(self, node: Node) -> tuple[int, ...]:
        """Free slots for a new node. RingFull."""

    @abstractmethod
    def _check_slots(self, node: str, slots: tuple[int, ...]) -> None:
        """InvalidSnapshot if the algorithm never gives `node` these free slots."""

    @abstractmethod
    def _weight_of(self, slots: tuple[int, ...]) -> int:
        """The weight of a node that has these slots."""

    # Inside

    def _admit(self, node: Node) -> None:
        self._take(node, self._slots_for(node))

    def _put(self, node: Node, slots: tuple[int, ...]) -> None:
        """The node, where it has been before."""
        self._take(node, slots)
        self._enter(node)

    def _take(self, node: Node, slots: tuple[int, ...]) -> None:
        self._node_at[list(slots)] = len(self._nodes)
        for slot in slots:
            self._taken[slot] = TAKEN
        self._slots[node.name] = slots
        self._forget()

    def _dismiss(self, node: Node, index: int) -> None:
        for slot in self._slots.pop(node.name):
            self._taken[slot] = FREE
        self._node_at[self._node_at == index] = _NOBODY
        self._node_at[self._node_at > index] -= 1
        self._forget()

    def _forget(self) -> None:
        """A node has come or gone: what was worked out for lookups is no longer so."""
        self._owner_at = None
        self._name_at.clear()  # in place, so that who keeps the quick lookup cannot miss it
        self._slow_down()

    def _resolve(self) -> list[int]:
        """Owners by slot, until a node comes or goes. O(M)."""
        if not self._nodes:
            raise no_nodes()
        owners = self.owners()
        self._owners = owners.astype(np.intp)
        # Behind an owner's last slot in a row begins the next one's; past the end, the first's.
        begins = np.flatnonzero(owners != np.roll(owners, 1))
        if len(begins):
            following = np.searchsorted(begins, np.arange(len(owners)), side="right")
            self._next_at = begins.take(following, mode="wrap").tolist()
        owner_at: list[int] = owners.tolist()
        self._owner_at = owner_at
        return owner_at

    def _names_by_slot(self) -> list[str]:
        if self._owner_at is None:
            self._resolve()
        names: list[str] = np.array(self._nodes, dtype=object)[self._owners].tolist()
        return names

    def _text_finder(self, name_at: list[str]) -> Callable[[Any], str]:
        """`lookup` for callers whose keys are texts; with the first other key it resigns."""
        text_hash, num_slots = self._text_hash, self._num_slots

        def find(key: Any) -> str:
            try:
                return name_at[text_hash(key.encode()) % num_slots]
            except (AttributeError, UnicodeEncodeError):  # no text, or one with lone surrogates
                self._slow_down()
            except IndexError:  # a node has come or gone
                pass
            return self.lookup(key)

        return find

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
