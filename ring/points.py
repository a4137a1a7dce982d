"""Points on a circle of 32 or 64 bits: what rings without slots share.

Each node has points; a key belongs to the node of the first point at or behind its hash, and past
the last point to that of the first. Where points come from is each algorithm's own matter.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from ring.keys import Key, Keys
from ring.placement import Indices, Node, Placement, no_nodes


class PointRing(Placement):
    """A placement by sorted points. Points of equal value belong to the node that came first.

    A single lookup is an index by the hash's first bits and a step or two from there; bulk lookups
    bisect an array. Adding or removing a node merges its points into the sorted array: O(points),
    numpy, without hashing the others anew.
    """

    bits: int = 32  # of the circle

    def __init__(self) -> None:
        super().__init__()
        self._points = np.empty(0, np.uint64)  # sorted, equal ones too
        self._owners = np.empty(0, np.int32)  # index into nodes, of each point
        # The same for single lookups, made when first asked for: lists, because indexing one takes
        # a tenth of indexing an array. One point more, beyond the circle, is the first one again.
        self._list: list[int] | None = None
        self._names: list[str] = []  # of the points' owners
        self._first: list[int] = []  # by a hash's first bits: the first point that may be its own
        self._shift = 0  # that leaves these bits

    # Keys

    @abstractmethod
    def key_hash(self, key: Key) -> int:
        """Where a key is on the circle, in range(2^bits)."""

    @abstractmethod
    def key_hash_many(self, keys: Keys) -> npt.NDArray[Any]:
        """The same in bulk: shape (n,), unsigned."""

    def lookup(self, key: Key) -> str:
        points = self._list or self._resolve()
        place = self.key_hash(key)
        at = self._first[place >> self._shift]
        while points[at] < place:
            at += 1
        return self._names[at]

    def lookup_many(self, keys: Keys) -> Indices:
        if not len(keys):
            return np.empty(0, np.intp)
        self._wanted(None)
        hashes = self.key_hash_many(keys).astype(np.uint64)
        at = np.searchsorted(self._points, hashes)
        return self._owners.take(at, mode="wrap").astype(np.intp)

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

    def _admit(self, node: Node) -> None:
        points = np.unique(self.points_of(node))
        at = np.searchsorted(self._points, points, side="right")  # behind equals: they came first
        self._points = np.insert(self._points, at, points)
        self._owners = np.insert(self._owners, at, len(self._nodes))
        self._list = None

    def _dismiss(self, node: Node, index: int) -> None:
        stays = self._owners != index
        self._points, self._owners = self._points[stays], self._owners[stays]
        self._owners = self._owners - (self._owners > index).astype(np.int32)
        self._list = None

    def _resolve(self) -> list[int]:
        if not self._nodes:
            raise no_nodes()
        prefix_bits = min(self.bits, len(self._points).bit_length() + 2)  # some 4 to 8 per point
        self._shift = self.bits - prefix_bits
        firsts = np.arange(2**prefix_bits, dtype=np.uint64) << np.uint64(self._shift)
        self._first = np.searchsorted(self._points, firsts).tolist()
        names = self._nodes
        self._names = [names[owner] for owner in self._owners.tolist()]
        self._names.append(self._names[0])
        self._list = points = [*self._points.tolist(), 2**self.bits]
        return points
