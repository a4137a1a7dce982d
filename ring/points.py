"""Points on a circle of 32 or 64 bits: what rings without slots share.

Each node has points; a key belongs to the node of the first point at or behind its hash, and past
the last point to that of the first. Where points come from is each algorithm's own matter.
"""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect_left
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ring.keys import PIECE, Key, Keys
from ring.placement import Indices, Node, Placement, no_nodes

# A bisection takes some microseconds, the index some tenths of one for each point.
EARLY_LOOKUPS = 16
_MIXED = np.int32(-1)


class PointRing(Placement):
    """A placement by sorted points. Points of equal value belong to the node that came first.

    The circle is cut into buckets by a hash's first bits, 16 to 32 for each point: nearly all have
    no point inside, so that all their keys are one node's, and a lookup is one index; in the others
    the points are searched. The first lookups after a change do without, for the buckets are not
    worth their making for a few.
    Nodes that come are merged into the sorted array when it is first asked for, all at once:
    O(points), numpy, without hashing the others anew.
    """

    bits: int = 32  # of the circle

    def __init__(self) -> None:
        super().__init__()
        self._sorted_points = np.empty(0, np.uint64)  # equal ones too
        self._their_owners = np.empty(0, np.int32)  # index into nodes, of each
        self._pending: list[tuple[int, npt.NDArray[np.uint64]]] = []  # who came since, and points
        # For single lookups, made when enough are asked. Lists, because indexing one takes a tenth
        # of indexing an array. One point more, beyond the circle, is the first again.
        self._name_in: list[str | None] = []  # of each bucket; None: a point is inside
        self._list: list[int] = []  # the points
        self._names: list[str] = []  # of their owners
        self._num_early = 0  # lookups since the last change, for which all this was not made
        # For bulk, likewise.
        self._shift = 0  # that leaves a hash's bucket
        self._owner_in = np.empty(0, np.int32)  # as _name_in: index into nodes, _MIXED
        self._first_in = np.empty(0, np.int32)  # of each bucket: index of the point of its start
        self._points_many = np.empty(0, np.uint64)
        self._owners_many = np.empty(0, np.int32)

    # Keys

    @abstractmethod
    def key_hash(self, key: Key) -> int:
        """Where a key is on the circle, in range(2^bits)."""

    @abstractmethod
    def key_hash_many(self, keys: Keys) -> npt.NDArray[Any]:
        """The same in bulk: shape (n,), unsigned."""

    def lookup(self, key: Key) -> str:
        place = self.key_hash(key)
        if not self._name_in:
            return self._bisected(place)
        return self._name_in[place >> self._shift] or self._names[bisect_left(self._list, place)]

    def _bisected(self, place: int) -> str:
        self._wanted(1)
        self._num_early += 1
        if self._num_early * EARLY_LOOKUPS > len(self._points):
            self._index_names()
        at = int(np.searchsorted(self._points, np.uint64(place)))
        return self._nodes[int(self._owners[at % len(self._points)])]

    def lookup_many(self, keys: Keys) -> Indices:
        if not len(keys):
            return np.empty(0, np.intp)
        self._wanted(None)
        if not len(self._owner_in):
            if len(keys) * EARLY_LOOKUPS < len(self._points):
                at = np.searchsorted(self._points, self.key_hash_many(keys).astype(np.uint64))
                found: Indices = self._owners.take(at, mode="wrap").astype(np.intp)
                return found
            self._index()
        owners = np.empty(len(keys), np.intp)
        for start in range(0, len(keys), PIECE):  # each piece's way is done within the cache
            hashes = self.key_hash_many(keys[start : start + PIECE])
            owners[start : start + PIECE] = self._owners_of(hashes)
        return owners

    def _owners_of(self, hashes: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
        # "clip", because the default mode makes copies to be safe; all indices are in range.
        buckets = (hashes >> hashes.dtype.type(self._shift)).astype(np.intp)
        owners: npt.NDArray[np.int32] = self._owner_in.take(buckets, mode="clip")
        mixed = np.flatnonzero(owners == _MIXED)
        if len(mixed):
            places, at = hashes[mixed], self._first_in.take(buckets[mixed], mode="clip")
            behind = np.flatnonzero(self._points_many.take(at) < places)
            while len(behind):  # a few, and fewer each time
                at[behind] += 1
                behind = behind[self._points_many.take(at[behind]) < places[behind]]
            owners[mixed] = self._owners_many.take(at)
        return owners

    def warm(self) -> None:
        self._wanted(None)
        self._index_names()

    def preference(self, key: Key, count: int | None = None) -> tuple[str, ...]:
        """The owners of the first point and of those behind it, each once. EmptyRing; ValueError
        if count < 1."""
        wanted = self._wanted(count)
        points, names = self._lists()
        at = bisect_left(points, self.key_hash(key))
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
        self._take(node, self.points_of(node))

    def _take(self, node: Node, points: npt.NDArray[np.uint64]) -> None:
        self._pending.append((len(self._nodes), points))
        self._forget()

    def _dismiss(self, node: Node, index: int) -> None:
        stays = self._owners != index
        owners = self._their_owners[stays]
        self._place(self._sorted_points[stays], owners - (owners > index).astype(np.int32))

    def _place(self, points: npt.NDArray[np.uint64], owners: npt.NDArray[np.int32]) -> None:
        """These and no others, sorted, with their owners."""
        self._sorted_points, self._their_owners, self._pending = points, owners, []
        self._forget()

    def _forget(self) -> None:
        """A node has come or gone: what was worked out for lookups is no longer so."""
        self._num_early, self._owner_in = 0, np.empty(0, np.int32)
        self._list, self._names = [], []
        self._name_in.clear()  # in place, so that who keeps a quick lookup cannot miss it
        self._slow_down()

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
        twin._pending, twin._name_in = self._pending.copy(), []
        return twin

    def _lists(self) -> tuple[list[int], list[str]]:
        """The points and the names of their owners, one more than there are. O(points)."""
        if not self._list:
            if not self._nodes:
                raise no_nodes()
            self._list = [*self._points.tolist(), 2**self.bits]
            owners = np.append(self._owners, self._owners[0])
            self._names = np.array(self._nodes, object)[owners].tolist()
        return self._list, self._names

    def _index_names(self) -> None:
        """The buckets' names, until a node comes or goes. O(points)."""
        self._lists()
        if not len(self._owner_in):
            self._index()
        name_of = np.array([*self._nodes, None], object)  # _MIXED is the last one's index, too
        self._name_in = name_of[self._owner_in].tolist()

    def _index(self) -> None:
        """Buckets, until a node comes or goes. O(points)."""
        points, owners = self._points, np.append(self._owners, self._owners[0])
        # No hash is above the last one, so that its own value need not be beyond the circle.
        beyond = np.append(points, np.uint64(2**self.bits - 1))
        self._points_many = beyond.astype(np.uint32 if self.bits == 32 else np.uint64)
        self._owners_many = owners
        bucket_bits = min(self.bits, len(points).bit_length() + 4)
        self._shift = self.bits - bucket_bits
        starts = np.arange(2**bucket_bits, dtype=np.uint64) << np.uint64(self._shift)
        first_in = np.searchsorted(points, starts).astype(np.int32)
        is_mixed = np.append(first_in[1:], np.int32(len(points))) != first_in
        self._first_in = first_in
        self._owner_in = np.where(is_mixed, _MIXED, owners[first_in])
