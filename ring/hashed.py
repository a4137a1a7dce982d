"""Placements that see of a key nothing but its hash, whichever H that is."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np

from ring.hashes import KEY_HASHES, Hashes, check_hash, hash_many
from ring.keys import Key, Keys
from ring.placement import Indices, Placement

_MASK_64 = 2**64 - 1


class HashedPlacement(Placement):
    """hash: name of H in KEY_HASHES. InvalidConfig if there is none of that name."""

    parameter_names: ClassVar[tuple[str, ...]] = ("hash",)

    def __init__(self, hash: str) -> None:
        super().__init__()
        check_hash(hash)
        self._hash = hash
        self._key_hash = KEY_HASHES[hash]

    def parameters(self) -> dict[str, Any]:
        return {"hash": self._hash}

    def key_hash(self, key: Key) -> int:
        return self._key_hash(key)

    def lookup_many(self, keys: Keys) -> Indices:
        if not len(keys):
            return np.empty(0, np.intp)
        self._wanted(None)
        return self._of_hashes(hash_many(self._hash, keys, self._modulus))

    @property
    def _modulus(self) -> int:
        """What the algorithm takes H mod, for bulk."""
        return 2**64

    def _hash64(self, key: Key) -> int:
        """H(key) mod 2^64."""
        return self._key_hash(key) & _MASK_64

    @abstractmethod
    def _of_hashes(self, hashes: Hashes) -> Indices:
        """Index into `nodes` for each hash, shape kept; there are nodes, and hashes."""
