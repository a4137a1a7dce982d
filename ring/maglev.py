"""Maglev hashing: a table that all nodes fill in turn, each by a permutation of its own.

Node i prefers the slots (offset_i + j · skip_i) mod M, j = 0, 1, …; M is prime, so that this is a
permutation. In turn each takes its next preferred slot that is still free, until all are taken.
Shares differ by one slot per weight at most. A lookup is one index.

Source: Eisenbud et al., "Maglev: a fast and reliable software network load balancer", NSDI 2016,
§3.4; weights as in Envoy, whose tables the tests have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ring.errors import InvalidConfig
from ring.hashed import HashedPlacement
from ring.hashes import Hashes, fingerprint, splitmix64
from ring.keys import Key
from ring.placement import Indices, Node, no_nodes

MAX_TABLE_SIZE = 5_000_011  # Envoy's

# Name of a node, M -> offset in range(M), skip in 1..M-1.
Permutation = Callable[[str, int], tuple[int, int]]


def two_hashes(name: str, table_size: int) -> tuple[int, int]:
    """Offset from the name's fingerprint, skip from that mixed once more."""
    first = fingerprint(name)
    return first % table_size, splitmix64(first) % (table_size - 1) + 1


class Maglev(HashedPlacement):
    """table_size: M, a prime up to 5,000,011; the paper wants at least 100 per node. hash: name of
    H of keys, the slot is H mod M. InvalidConfig says what is wrong. RingFull never: but nodes
    beyond M get no slot.

    Law, weaker than a ring's: a change moves keys between other nodes, too, some tenth of those
    that must move at M = 65,537. The order of insertion is forgotten, nodes are taken by name.
    """

    algorithm: ClassVar[str] = "maglev"
    parameter_names: ClassVar[tuple[str, ...]] = ("table_size", "hash")

    def __init__(
        self,
        table_size: int = 65_537,
        hash: str = "splitmix64",
        *,
        permutation: Permutation = two_hashes,
    ) -> None:
        super().__init__(hash)
        if type(table_size) is not int or not 2 <= table_size <= MAX_TABLE_SIZE:
            raise InvalidConfig(
                f"table_size must be a prime in 2..{MAX_TABLE_SIZE}, got {table_size!r}"
            )
        if any(table_size % divisor == 0 for divisor in range(2, int(table_size**0.5) + 1)):
            raise InvalidConfig(f"table_size must be prime, got {table_size}")
        self._table_size = table_size
        self._permutation = permutation
        self._table: npt.NDArray[np.int32] | None = None  # index into nodes of each slot's owner
        self._owner_at: list[int] = []  # the same

    def parameters(self) -> dict[str, Any]:
        return {"table_size": self._table_size} | super().parameters()

    def table(self) -> npt.NDArray[np.int32]:
        """Index into `nodes` of each slot's owner, shape (M,), made when first asked for after a
        change: O(M log M) on average. EmptyRing."""
        if self._table is None:
            if not self._nodes:
                raise no_nodes()
            self._table = self._populate()
            self._owner_at = self._table.tolist()
        return self._table

    def shares(self) -> dict[str, float]:
        """Node -> share of the slots, in 0..1; they sum to 1. EmptyRing."""
        owned = np.bincount(self.table(), minlength=len(self._nodes)) / self._table_size
        return dict(zip(self._nodes, owned.tolist(), strict=True))

    def lookup(self, key: Key) -> str:
        """The owner of slot H(key) mod M. EmptyRing."""
        if self._table is None:
            self.table()
        return self._nodes[self._owner_at[self._key_hash(key) % self._table_size]]

    @property
    def _modulus(self) -> int:
        return self._table_size

    def _of_hashes(self, hashes: Hashes) -> Indices:
        return self.table()[hashes].astype(np.intp)

    def preference(self, key: Key, count: int | None = None) -> tuple[str, ...]:
        """The owner of the key's slot and those of the slots behind it, each once; nodes without a
        slot last. The paper's table, made anew without the first, mostly says otherwise: this
        order needs no second table. EmptyRing; ValueError if count < 1."""
        wanted = self._wanted(count)
        self.table()
        owner_at, slot = self._owner_at, self._key_hash(key) % self._table_size
        found = [owner_at[slot]]
        for step in range(1, self._table_size):
            if len(found) == wanted:
                break
            owner = owner_at[(slot + step) % self._table_size]
            if owner not in found:
                found.append(owner)
        else:
            found += [index for index in range(len(self._nodes)) if index not in found]
        return tuple([self._nodes[owner] for owner in found[:wanted]])

    def _admit(self, node: Node) -> None:
        self._table = None

    def _dismiss(self, node: Node, index: int) -> None:
        self._table = None

    def _populate(self) -> npt.NDArray[np.int32]:
        """The paper's pseudocode 1; the turns of weights are Envoy's: in turn t a node of weight w
        takes its (t · w / w_max)-th slot, rounded down, if it has not yet."""
        size = self._table_size
        table = [-1] * size
        indices = sorted(range(len(self._nodes)), key=self._nodes.__getitem__)
        members = [self._members[self._nodes[index]] for index in indices]
        heaviest = max(node.weight for node in members)
        starts = [self._permutation(node.name, size) for node in members]
        position, skips = [start for start, _ in starts], [skip for _, skip in starts]
        targets = [0.0] * len(members)
        num_taken, turn = 0, 0
        while True:
            turn += 1
            for at, node in enumerate(members):
                if node.weight < heaviest:
                    if turn * node.weight < targets[at]:
                        continue
                    targets[at] += heaviest
                slot, skip = position[at], skips[at]
                while table[slot] >= 0:
                    slot += skip
                    if slot >= size:
                        slot -= size
                table[slot] = indices[at]
                slot += skip
                position[at] = slot - size if slot >= size else slot
                num_taken += 1
                if num_taken == size:
                    return np.array(table, np.int32)
