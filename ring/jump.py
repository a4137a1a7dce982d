"""Jump consistent hash: five lines, no memory, and buckets that have numbers instead of names.

A key jumps from bucket to bucket, each further up, by a random number generator that it seeds
itself, until it would jump past the last one. It moves when buckets are added with just the
probability that it must, 1/n.

Source: Lamping, Veach, "A fast, minimal memory, consistent hash algorithm", arXiv:1406.2294, 2014.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ring.errors import CannotRemove
from ring.hashed import HashedPlacement
from ring.hashes import Hashes, splitmix64
from ring.keys import Key
from ring.placement import Indices, Node

_MASK_64 = 2**64 - 1
_LCG = 2862933555777941757  # the paper's multiplier; the increment is 1


def jump(key: int, num_buckets: int) -> int:
    """Bucket of key, in range(num_buckets). O(log num_buckets), pure. ValueError if that is < 1.

    key counts mod 2^64. The division is in doubles, as in the paper's C++.
    """
    if num_buckets < 1:
        raise ValueError(f"num_buckets must be >= 1, got {num_buckets}")
    bucket, following = -1, 0
    while following < num_buckets:
        bucket = following
        key = (key * _LCG + 1) & _MASK_64
        following = int((bucket + 1) * (2.0**31 / ((key >> 33) + 1)))
    return bucket


def jump_many(keys: npt.NDArray[np.uint64], num_buckets: int) -> Indices:
    """jump of each key, shape kept."""
    state, found = keys.copy(), np.zeros(len(keys), np.intp)
    at = np.arange(len(keys))  # those that still jump
    bucket = np.zeros(len(keys), np.int64)
    while len(at):
        state = state * np.uint64(_LCG) + np.uint64(1)
        draws = (state >> np.uint64(33)).astype(np.float64) + 1.0
        following = ((bucket + 1) * (2.0**31 / draws)).astype(np.int64)
        found[at] = bucket
        goes_on = following < num_buckets
        at, state, bucket = at[goes_on], state[goes_on], following[goes_on]
    return found


class JumpHash(HashedPlacement):
    """The n-th node is bucket n - 1: the order of insertion is the placement.

    hash: name of H, taken mod 2^64; "identity" is the paper's own for integers. Only the last node
    can be removed (CannotRemove names it), and weights are not known. Law: adding moves keys only
    to the newcomer, removing the last moves only its own.
    """

    algorithm: ClassVar[str] = "jump"
    max_weight: ClassVar[int] = 1

    def __init__(self, hash: str = "splitmix64") -> None:
        super().__init__(hash)

    @property
    def can_remove_any(self) -> bool:
        return False

    def lookup(self, key: Key) -> str:
        """The node whose bucket the key ends in. EmptyRing."""
        self._wanted(None)
        return self._nodes[jump(self._hash64(key), len(self._nodes))]

    def _of_hashes(self, hashes: Hashes) -> Indices:
        return jump_many(hashes, len(self._nodes))

    def preference(self, key: Key, count: int | None = None) -> tuple[str, ...]:
        """lookup(key), then where the key jumps to with its hash mixed once more, and so on. The
        paper knows no failover; so the keys of a node that fails spread over all others. EmptyRing;
        ValueError if count < 1."""
        wanted = self._wanted(count)
        mixed, found = self._hash64(key), dict[int, None]()
        for _ in range(64 * len(self._nodes)):
            found[jump(mixed, len(self._nodes))] = None
            if len(found) == wanted:
                break
            mixed = splitmix64(mixed)
        else:  # so unlikely that no test will meet it; but a list has to end
            found |= dict.fromkeys(range(len(self._nodes)))
        return tuple(self._nodes[bucket] for bucket in list(found)[:wanted])

    def _admit(self, node: Node) -> None:
        """Nothing is kept but the order."""

    def _dismiss(self, node: Node, index: int) -> None:
        if index != len(self._nodes) - 1:
            raise CannotRemove(
                f"jump can remove only the last node, {self._nodes[-1]!r}, got {node.name!r}"
            )
