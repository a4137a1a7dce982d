"""AnchorHash: buckets that remember who took over from whom, so that any of them can be removed.

There are `capacity` buckets, working or removed. A key hashes to one of all; from a removed one it
goes on to one of those that worked when that one was removed, until it meets a working one. In the
paper's letters: A[b] is 0 while b works, else how many worked after its removal; W lists the
working ones first, L says where in W each is, K[b] who took b's place, and R the removed, in order.

Source: Mendelson, Vargaftik, Barabash, Lorenz, Keslassy, Orda, "AnchorHash: a scalable consistent
hash", arXiv:1812.09674; IEEE/ACM ToN 29(2), 2021: algorithm 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from ring.errors import InvalidConfig, InvalidSnapshot, RingError, RingFull
from ring.hashed import HashedPlacement
from ring.hashes import Hashes, splitmix64, splitmix64_many
from ring.keys import Key
from ring.placement import Indices, Node

MAX_CAPACITY = 2**20
_MASK_64 = 2**64 - 1
_GOLDEN_GAMMA = 0x9E3779B97F4A7C15


class _Anchor:
    """The paper's data structure: buckets in range(capacity), all of them removed at first."""

    def __init__(self, capacity: int) -> None:
        self.A = list(range(capacity))  # as if they had been removed from the last to the first
        self.W = list(range(capacity))
        self.L = list(range(capacity))
        self.K = list(range(capacity))
        self.R = list(range(capacity - 1, -1, -1))
        self.N = 0

    def copy(self) -> _Anchor:
        twin = _Anchor(0)
        twin.A, twin.W, twin.L = self.A.copy(), self.W.copy(), self.L.copy()
        twin.K, twin.R, twin.N = self.K.copy(), self.R.copy(), self.N
        return twin

    def add(self) -> int:
        """ADDBUCKET: the one that was removed last."""
        b = self.R.pop()
        self.A[b] = 0
        self.L[self.W[self.N]] = self.N
        self.W[self.L[b]] = self.K[b] = b
        self.N += 1
        return b

    def remove(self, b: int) -> None:
        """REMOVEBUCKET."""
        self.R.append(b)
        self.N -= 1
        self.A[b] = self.N
        self.W[self.L[b]] = self.K[b] = self.W[self.N]
        self.L[self.W[self.N]] = self.L[b]

    def get(self, hash_: int) -> int:
        """GETBUCKET of a key with that hash, in range(2^64)."""
        A, K = self.A, self.K
        b = hash_ % len(A)
        while A[b] > 0:
            h = splitmix64(hash_ ^ (b + 1) * _GOLDEN_GAMMA & _MASK_64) % A[b]
            while A[h] >= A[b]:
                h = K[h]
            b = h
        return b

    def get_many(self, hashes: Hashes) -> Indices:
        """GETBUCKET of each, shape kept."""
        A, K = np.array(self.A, np.int64), np.array(self.K, np.intp)
        found = (hashes % np.uint64(len(A))).astype(np.intp)
        at = np.flatnonzero(A[found] > 0)
        while len(at):
            b = found[at]
            salt = (b + 1).astype(np.uint64) * np.uint64(_GOLDEN_GAMMA)
            h = (splitmix64_many(hashes[at] ^ salt) % A[b].astype(np.uint64)).astype(np.intp)
            while (past := A[h] >= A[b]).any():
                h = np.where(past, K[h], h)
            found[at] = h
            at = at[A[h] > 0]
        return found


class AnchorHash(HashedPlacement):
    """capacity: buckets, in 1..2^20; more nodes are refused (RingFull). hash: name of H, taken mod
    2^64. Weights are not known. Both laws hold, whoever is removed; where keys are depends on the
    history, which `to_dict` tells. A newcomer takes the bucket that was removed last.
    """

    algorithm: ClassVar[str] = "anchor"
    parameter_names: ClassVar[tuple[str, ...]] = ("capacity", "hash")
    max_weight: ClassVar[int] = 1

    def __init__(self, capacity: int = 1024, hash: str = "splitmix64") -> None:
        super().__init__(hash)
        if type(capacity) is not int or not 1 <= capacity <= MAX_CAPACITY:
            raise InvalidConfig(f"capacity must be in 1..{MAX_CAPACITY}, got {capacity!r}")
        self._capacity = capacity
        self._anchor = _Anchor(capacity)
        self._bucket_of: dict[str, int] = {}
        self._name_of: dict[int, str] = {}

    def parameters(self) -> dict[str, Any]:
        return {"capacity": self._capacity} | super().parameters()

    def lookup(self, key: Key) -> str:
        """The node of the working bucket that the key ends in. EmptyRing."""
        self._wanted(None)
        return self._name_of[self._anchor.get(self._hash64(key))]

    def _of_hashes(self, hashes: Hashes) -> Indices:
        index_of = np.zeros(self._capacity, np.intp)
        for index, name in enumerate(self._nodes):
            index_of[self._bucket_of[name]] = index
        return index_of[self._anchor.get_many(hashes)]

    def preference(self, key: Key, count: int | None = None) -> tuple[str, ...]:
        """Each is where the key goes when those before it are removed, in that order. O(capacity).
        EmptyRing; ValueError if count < 1."""
        wanted = self._wanted(count)
        anchor, hash_ = self._anchor.copy(), self._hash64(key)
        found = [anchor.get(hash_)]
        while len(found) < wanted:
            anchor.remove(found[-1])
            found.append(anchor.get(hash_))
        return tuple(self._name_of[bucket] for bucket in found)

    def copy(self) -> Self:
        twin = super().copy()
        twin._anchor = self._anchor.copy()
        twin._bucket_of, twin._name_of = self._bucket_of.copy(), self._name_of.copy()
        return twin

    def to_dict(self) -> dict[str, Any]:
        """As every placement's; with the nodes' buckets, and the removed ones, last one last."""
        data = super().to_dict()
        for each in data["nodes"]:
            each["bucket"] = self._bucket_of[each["name"]]
        return data | {"removed": self._anchor.R.copy()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The placement that `to_dict` took apart. InvalidSnapshot."""
        try:
            made = cls(**data["parameters"])
            removed = [int(bucket) for bucket in data["removed"]]
            buckets = {int(each["bucket"]): each for each in data["nodes"]}
            everything = sorted([*removed, *buckets])
            if everything != list(range(made._capacity)) or len(buckets) != len(data["nodes"]):
                raise InvalidSnapshot("buckets must be the nodes' or removed, each of them once")
            # With all of them working, the removals happen once more.
            made._anchor = anchor = _Anchor(made._capacity)
            for _ in everything:
                anchor.add()
            for bucket in removed:
                anchor.remove(bucket)
            for each in data["nodes"]:
                made._name_of[each["bucket"]] = each["name"]
                made._bucket_of[each["name"]] = each["bucket"]
                made._enter(Node(each["name"], each["weight"], each["node_id"]))
        except (KeyError, TypeError, ValueError, RingError) as error:
            raise InvalidSnapshot(f"not a snapshot of {cls.algorithm}: {error!r}") from error
        return made

    def _admit(self, node: Node) -> None:
        if not self._anchor.R:
            raise RingFull(f"no bucket for {node.name!r}: all {self._capacity} have nodes")
        bucket = self._anchor.add()
        self._bucket_of[node.name], self._name_of[bucket] = bucket, node.name

    def _dismiss(self, node: Node, index: int) -> None:
        bucket = self._bucket_of.pop(node.name)
        del self._name_of[bucket]
        self._anchor.remove(bucket)
