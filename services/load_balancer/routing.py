"""The routing table: all that the data plane knows of replicas. Immutable; replaced, never changed.

A lookup is one hash, one modulo and one index. The failover order is worked out when it is
needed, from the same ring, so that both always agree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from load_balancer.settings import Address
from ring import Ring, integer_hash


@dataclass(frozen=True, eq=False, slots=True)
class Replica:
    """One life of a replica. Its successor under the same name is another Replica, so that
    connections and counts of the dead are never taken for those of the living."""

    hostname: str
    address: Address


class RoutingTable:
    """Slot → replica for those in service. `version` grows with each change."""

    __slots__ = ("_key_hash", "_num_slots", "_owners", "_ring", "replicas", "version")

    def __init__(self, ring: Ring, replicas: Mapping[str, Replica], version: int) -> None:
        self.version = version
        self.replicas = dict(replicas)
        self._ring = ring
        self._num_slots = ring.config.num_slots
        self._key_hash: Callable[[int], int] = integer_hash(ring.config.key_hash)
        # One more than nodes, so that index −1, "nobody", finds None.
        by_index = np.array([*(replicas.get(node) for node in ring.nodes), None], dtype=object)
        self._owners: list[Replica | None] = by_index[ring.owners(replicas.keys())].tolist()

    def route(self, key: int) -> Replica | None:
        """The replica that serves `key`, None if none is in service. O(1)."""
        return self._owners[self._key_hash(key) % self._num_slots]

    def failover_order(self, key: int) -> list[Replica]:
        """The replicas in service for `key`: first `route(key)`, then on clockwise."""
        if not self.replicas:
            return []
        return [self.replicas[node] for node in self._ring.preference(key) if node in self.replicas]
