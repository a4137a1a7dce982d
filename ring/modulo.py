"""H(key) mod n: what everybody writes first, and the foil of all others here.

It is perfectly even and needs nothing; and when n changes, nearly all keys move: n / (n + 1) of
them when one of n + 1 comes.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ring.hashed import HashedPlacement
from ring.hashes import Hashes
from ring.keys import Key
from ring.placement import Indices, Node


class Modulo(HashedPlacement):
    """hash: name of H. Law: none; a change moves keys between all nodes. Nodes count in the order
    of their names, so that the order of insertion does not matter."""

    algorithm: ClassVar[str] = "modulo"
    max_weight: ClassVar[int] = 1

    def __init__(self, hash: str = "splitmix64") -> None:
        super().__init__(hash)
        self._sorted: list[str] = []

    def lookup(self, key: Key) -> str:
        """Node number H(key) mod n. EmptyRing."""
        self._wanted(None)
        return self._sorted[self._key_hash(key) % len(self._sorted)]

    @property
    def _modulus(self) -> int:
        return len(self._sorted)

    def _of_hashes(self, hashes: Hashes) -> Indices:
        return np.array([self._nodes.index(name) for name in self._sorted], np.intp)[hashes]

    def preference(self, key: Key, count: int | None = None) -> tuple[str, ...]:
        """lookup(key) and the numbers behind it: while a node is down, its neighbour has its keys.
        EmptyRing; ValueError if count < 1."""
        wanted = self._wanted(count)
        first = self._key_hash(key) % len(self._sorted)
        return tuple((self._sorted * 2)[first : first + wanted])

    def _admit(self, node: Node) -> None:
        self._sorted = sorted([*self._sorted, node.name])

    def _dismiss(self, node: Node, index: int) -> None:
        self._sorted = [name for name in self._sorted if name != node.name]
