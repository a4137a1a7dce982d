"""Points on a circle of 32 or 64 bits: what rings without slots share.

Each node has points; a key belongs to the node of the first point at or behind its hash, and past
the last point to that of the first. Where points come from is each algorithm's own matter.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ring.hashes import PIECE
from ring.keys import Key, Keys
from ring.placement import Indices, Node, Placement, no_nodes

# A bisection takes some microseconds, the index some tenths of one for each point.
EARLY_LOOKUPS = 16


class PointRing(Placement):
    """A placement by sorted points. Points of equal value belong to the node that came first.

    A lookup is an index by the hash's first bits and a step or two from there, one by one and in
    bulk; the first ones after a change bisect, for the index is not worth its making for a few.
    Nodes that come are merged into the sorted array when it is first asked for, all at once:
    O(points), numpy, without hashing the others anew.
    """

    bits: int = 32  # of the circle

    def __init__(self) -> None:
        super().__init__()
        self._sorted_points = np.empty(0, np.uint64)  # equal ones too
        self._their_owners = np.empty(0, np.int32)  # index into nodes, of each
        self._pending: list[tuple[int, npt.NDArray[np.uint64]]] = []  # who came since, and points
        # The same for single lookups, made when first asked for: lists, because indexing one takes
        # a tenth of indexing an array. One point more, beyond the circle, is the first one again.
        self._list: list[int] | None = None
        self._names: list[str] = []  # of the points' owners
        self._first: list[int] = []  # by a hash's first bits: the first point that may be its own
        self._shift = 0  # that leaves these bits
        self._num_early = 0  # lookups since the last change, for which all this was not made
        self._first_many = np.empty(0, np.int32)  # the same, for bulk
        self._points_many = np.empty(0, np.uint64)
        self._owners_many = np.empty(0, np.intp)

    # Keys

    @abstractmethod
    def key_hash(self, key: Key) -> int:
        """Where a key is on the circle, in range(2^bits)."""

    @abstractmethod
    def key_hash_many(self, keys: Keys) -> npt.NDArray[Any]:
        """The same in bulk: shape (n,), unsigned."""

    def lookup(self, key: Key) -> str:
        place = self.key_hash(key)
        points = self._list
        if points is None:
            return self._bisected(place)
        at = self._first[place >> self._shift]
        while points[at] < place:
            at += 1
        return self._names[at]

    def _bisected(self, place: int) -> str:
        self._wanted(1)
        self._num_early += 1
        if self._num_early * EARLY_LOOKUPS > len(self._points):
            self._resolve()
        at = int(np.searchsorted(self._points, np.uint64(place)))
        return self._nodes[int(self._owners[at % len(self._points)])]

    def lookup_many(self, keys: Keys) -> Indices:
        if not len(keys):
            return np.empty(0, np.intp)
        self._wanted(None)
        if self._list is None and len(keys) * EARLY_LOOKUPS < len(self._points):
            at = np.searchsorted(self._points, self.key_hash_many(keys).astype(np.uint64))
            found: Indices = self._owners.take(at, mode="wrap").astype(np.intp)
            return found
        if self._list is None:
            self._resolve()
        owners = np.empty(len(keys), np.intp)
        for start in range(0, len(keys), PIECE):  # each piece's way is done within the cache
            hashes = self.key_hash_many(keys[start : start + PIECE])
            owners[start : start + PIECE] = self._owners_of(hashes)
        return owners

    def _owners_of(self, hashes: npt.NDArray[Any]) -> Indices:
        at = self._first_many.take(hashes >> hashes.dtype.type(self._shift))
        behind = np.flatnonzero(self._points_many.take(at) < hashes)
        while len(behind):  # a few, and fewer each time
            at[behind] += 1
            behind = behind[self._points_many.take(at[behind]) < hashes[behind]]
        owners: Indices = self._owners_many.take(at)
        return owners

    def preference(self, key: Key, count: int | None = None) -> tuple[str, ...]:
        """The owners of the first point and of those behind it, each once. EmptyRing; ValueError
        if count < 1."""
        wanted = self._wanted(count)
        points, names = self._list or self._resolve(), self._names
        place = self.key_hash(key)
        at = self._first[place >> self._shift]
        while points[at] < place:
            at += 1
        found = [names[at]]
        while len(found) < wanted:
            at = at + 1 if at + 1 < len(names) else 1  # the last one is the first again
            if names[at] not in found:
                found.append(names[at])
        return tuple(found)

    def shares(self) -> dict[str, float]:
        """Node -> share of the circle that is its keys', in 0..1; they sum to 1. EmptyRing."""
        self._wanted(None)
        # Each point has what lies between the one before it and itself; the first wraps around.
        arcs = np.diff(self._points, prepend=self._points[-1:]).astype(float)
        arcs[0] = float(2**self.bits - int(self._points[-1]) + int(self._points[0]))
        owned = np.bincount(self._owners, arcs, minlength=len(self._nodes)) / 2.0**self.bits
        return dict(zip(self._nodes, owned.tolist(), strict=True))

    # The algorithm's own

    @abstractmethod
    def points_of(self, node: Node) -> npt.NDArray[np.uint64]:
        """The points of a node, in range(2^bits), in the order in which they are made."""

    # Inside

    @property
    def _points(self) -> npt.NDArray[np.uint64]:
        self._merge()
        return self._sorted_points

    @property
    def _owners(self) -> npt.NDArray[np.int32]:
        self._merge()
        return self._their_owners

    def _admit(self, node: Node) -> None:
        self._pending.append((len(self._nodes), self.points_of(node)))
        self._list = None

    def _dismiss(self, node: Node, index: int) -> None:
        stays = self._owners != index
        owners = self._their_owners[stays]
        self._place(self._sorted_points[stays], owners - (owners > index).astype(np.int32))

    def _place(self, points: npt.NDArray[np.uint64], owners: npt.NDArray[np.int32]) -> None:
        """These and no others, sorted, with their owners."""
        self._sorted_points, self._their_owners, self._pending = points, owners, []
        self._list = None

    def _merge(self) -> None:
        if len(self._pending) == 1:
            ((index, points),) = self._pending
            points = np.sort(points)
            # Behind equal ones, which came first.
            at = np.searchsorted(self._sorted_points, points, side="right")
            self._sorted_points = np.insert(self._sorted_points, at, points)
            self._their_owners = np.insert(self._their_owners, at, index)
        elif self._pending:
            points = np.concatenate([self._sorted_points, *(new for _, new in self._pending)])
            indices = [np.full(len(new), index, np.int32) for index, new in self._pending]
            order = np.argsort(points, kind="stable")
            self._sorted_points = points[order]
            self._their_owners = np.concatenate([self._their_owners, *indices])[order]
        self._pending = []

    def copy(self) -> Self:
        twin = super().copy()
        twin._pending = self._pending.copy()
        return twin

    def _resolve(self) -> list[int]:
        if not self._nodes:
            raise no_nodes()
        places, owners = self._points, self._owners
        prefix_bits = min(self.bits, len(places).bit_length() + 2)  # some 4 to 8 per point
        self._shift = self.bits - prefix_bits
        firsts = np.arange(2**prefix_bits, dtype=np.uint64) << np.uint64(self._shift)
        self._first_many = np.searchsorted(places, firsts).astype(np.int32)
        self._first = self._first_many.tolist()
        names = self._nodes
        self._names = [names[owner] for owner in owners.tolist()]
        self._names.append(self._names[0])
        self._list = points = [*places.tolist(), 2**self.bits]
        self._num_early = 0
        # No hash is above the last one, so that its own value need not be beyond the circle.
        self._points_many = np.append(places, np.uint64(2**self.bits - 1)).astype(
            np.uint32 if self.bits == 32 else np.uint64
        )
        self._owners_many = np.append(owners, owners[0]).astype(np.intp)
        return points
