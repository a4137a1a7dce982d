"""Multi-probe consistent hashing: one point per node, and many probes per key.

A key is hashed k times; the probe that lies nearest before a point decides. 21 probes bound the
peak-to-mean at 1.05, with one point per node where a ring of that evenness wants hundreds.

Source: Appleton, O'Reilly, "Multi-probe consistent hashing", arXiv:1505.00062, 2015.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any, ClassVar

import numpy as np

from ring.errors import InvalidConfig
from ring.hashed import HashedPlacement
from ring.hashes import Hashes, fingerprint, splitmix64, splitmix64_many
from ring.keys import Key
from ring.placement import Indices, Node

_MASK_64 = 2**64 - 1


class MultiProbe(HashedPlacement):
    """probes: k in 1..1024. hash: name of H. A node's point is its name's fingerprint, the probes
    of a key are H + i · (its second hash, made odd), i = 0 … k - 1, mod 2^64: double hashing, as
    the paper proposes. Weights are not known. Both laws hold; the order of insertion is forgotten.
    """

    algorithm: ClassVar[str] = "multiprobe"
    parameter_names: ClassVar[tuple[str, ...]] = ("probes", "hash")
    max_weight: ClassVar[int] = 1

    def __init__(self, probes: int = 21, hash: str = "splitmix64") -> None:
        super().__init__(hash)
        if type(probes) is not int or not 1 <= probes <= 1024:
            raise InvalidConfig(f"probes must be an integer in 1..1024, got {probes!r}")
        self._probes = probes
        self._points: list[int] = []  # sorted
        self._owners: list[str] = []  # of each

    def parameters(self) -> dict[str, Any]:
        return {"probes": self._probes} | super().parameters()

    def point_of(self, name: str) -> int:
        """Where a node is, in range(2^64)."""
        return fingerprint(name)

    def probes_of(self, key: Key) -> list[int]:
        """Where a key looks, k places in range(2^64)."""
        first = self._hash64(key)
        stride = splitmix64(first) | 1
        return [(first + i * stride) & _MASK_64 for i in range(self._probes)]

    def lookup(self, key: Key) -> str:
        """The owner of the point that a probe is nearest to, looking upwards. EmptyRing."""
        return self.preference(key, 1)[0]

    def _of_hashes(self, hashes: Hashes) -> Indices:
        points, first = np.array(self._points, np.uint64), hashes
        stride = splitmix64_many(first) | np.uint64(1)
        nearest = np.full(len(first), _MASK_64, np.uint64)
        found = np.zeros(len(first), np.intp)
        for i in range(self._probes):
            probe = first + np.uint64(i) * stride
            at = np.searchsorted(points, probe) % len(points)
            distance = points[at] - probe  # mod 2^64
            is_nearer = (distance < nearest) | (i == 0)
            nearest[is_nearer], found[is_nearer] = distance[is_nearer], at[is_nearer]
        index_of = {name: index for index, name in enumerate(self._nodes)}
        return np.array([index_of[name] for name in self._owners], np.intp)[found]

    def preference(self, key: Key, count: int | None = None) -> tuple[str, ...]:
        """By the distance of the nearest probe below their point: each is where the key goes when
        those before it are gone. O(k · count). EmptyRing; ValueError if count < 1."""
        wanted = self._wanted(count)
        points, num_points = self._points, len(self._points)
        reached = [(probe, bisect_left(points, probe)) for probe in self.probes_of(key)]
        if wanted == 1:  # min keeps the first of equals, as the bulk lookup does
            _, at = min(((points[at % num_points] - probe) & _MASK_64, at) for probe, at in reached)
            return (self._owners[at % num_points],)
        # Each probe meets all points in order; a point's distance is that of its nearest probe.
        nearest: dict[str, int] = {}
        for probe, at in reached:
            for step in range(wanted):
                here = (at + step) % num_points
                distance = (points[here] - probe) & _MASK_64
                if distance < nearest.get(self._owners[here], _MASK_64 + 1):
                    nearest[self._owners[here]] = distance
        return tuple(sorted(nearest, key=nearest.__getitem__)[:wanted])

    def _admit(self, node: Node) -> None:
        self._arrange([*self._nodes, node.name])

    def _dismiss(self, node: Node, index: int) -> None:
        self._arrange([name for name in self._nodes if name != node.name])

    def _arrange(self, names: list[str]) -> None:
        placed = sorted((self.point_of(name), name) for name in names)
        self._points = [point for point, _ in placed]
        self._owners = [name for _, name in placed]
