"""Rendezvous hashing, or highest random weight: every node gives the key a score, the highest wins.

No ring, no table: a key that goes to the second best when the best one fails goes there by the same
rule. With weights the score is -w / ln(u), u in (0, 1) from the hash, whose winner is node i with
the probability w_i / Σ w. It is compared here as ln(u) / w, whose highest is the same.

Source: Thaler, Ravishankar, "Using name-based mappings to increase hit rates", IEEE/ACM ToN 6(1),
1998; weights: Schindelhauer, Schomaker, "Weighted distributed hash tables", SPAA 2005.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ring.hashed import HashedPlacement
from ring.hashes import Hashes, fingerprint, splitmix64_many
from ring.keys import Key
from ring.placement import Indices, Node

CHUNK = 1 << 18  # scores at a time, 2 MB


class Rendezvous(HashedPlacement):
    """Lookup O(n) in numpy, no memory but 16 bytes per node, and the best balance of all.

    hash: name of H. The score of a node mixes H(key) with the fingerprint of its name, so that both
    laws hold and the order of insertion is forgotten; equal scores go to the smaller name.
    """

    algorithm: ClassVar[str] = "rendezvous"

    def __init__(self, hash: str = "splitmix64") -> None:
        super().__init__(hash)
        # Of each node, in order of names, so that the first of equal scores is the smallest name.
        self._order: list[int] = []  # index into nodes
        self._seeds = np.empty(0, np.uint64)
        self._weights = np.empty(0)

    def lookup(self, key: Key) -> str:
        """The node of the highest score. EmptyRing."""
        self._wanted(None)
        return self._nodes[self._order[int(self._scores(self._hashed(key))[0].argmax())]]

    def _of_hashes(self, hashes: Hashes) -> Indices:
        found, order = np.empty(len(hashes), np.intp), np.array(self._order, np.intp)
        rows = max(1, CHUNK // len(order))
        for start in range(0, len(found), rows):
            scores = self._scores(hashes[start : start + rows])
            found[start : start + rows] = order[scores.argmax(axis=1)]
        return found

    def preference(self, key: Key, count: int | None = None) -> tuple[str, ...]:
        """By descending score: each is where the key goes when those before it are gone. EmptyRing;
        ValueError if count < 1."""
        wanted = self._wanted(count)
        scores = self._scores(self._hashed(key))[0]
        best = np.argsort(-scores, kind="stable")[:wanted]
        return tuple(self._nodes[self._order[at]] for at in best.tolist())

    def _hashed(self, key: Key) -> Hashes:
        return np.array([self._hash64(key)], np.uint64)

    def _scores(self, hashes: Hashes) -> npt.NDArray[np.float64]:
        """Of each key (rows) at each node (columns); one code for one key and for many, because
        two logarithms may differ in their last bit."""
        mixed = splitmix64_many(hashes[:, None] ^ self._seeds[None, :])
        # The upper 53 bits and a half: u in (0, 1), exact in a double.
        u = ((mixed >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
        scores: npt.NDArray[np.float64] = u if self._are_equal else np.log(u) / self._weights
        return scores

    def _admit(self, node: Node) -> None:
        self._order_by_name([*self._members.values(), node])

    def _dismiss(self, node: Node, index: int) -> None:
        self._order_by_name([each for each in self._members.values() if each is not node])

    def _order_by_name(self, nodes: list[Node]) -> None:
        self._order = sorted(range(len(nodes)), key=lambda index: nodes[index].name)
        ordered = [nodes[index] for index in self._order]
        self._seeds = np.array([fingerprint(node.name) for node in ordered], np.uint64)
        self._weights = np.array([float(node.weight) for node in ordered])
        self._are_equal = len(set(self._weights.tolist())) < 2  # then ln changes no order
