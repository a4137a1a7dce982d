"""The routing table: all that the data plane knows of replicas. Immutable; replaced, never changed.

With slots, a lookup is one hash, one modulo and one index; without, it is the algorithm's own. The
failover order is worked out when it is needed, from the same ring, so that both always agree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from load_balancer.settings import Address
from ring import BoundedLoads, Circle, Placement, integer_hash


@dataclass(frozen=True, eq=False, slots=True)
class Replica:
    """One life of a replica. Its successor under the same name is another Replica, so that
    connections and counts of the dead are never taken for those of the living."""

    hostname: str
    address: Address


Route: TypeAlias = Callable[[int], Replica | None]


class RoutingTable:
    """Key → replica for those in service. `version` grows with each change.

    route(key): the replica that serves the key, None if none is in service. load_factor: c, if
    loads are to be bounded, which is for those to do who count them.
    """

    __slots__ = ("_ring", "load_factor", "replicas", "route", "version")

    def __init__(self, ring: Placement, replicas: Mapping[str, Replica], version: int) -> None:
        self.version = version
        self.replicas = dict(replicas)
        self.load_factor = ring.load_factor if isinstance(ring, BoundedLoads) else None
        self._ring = ring.placement if isinstance(ring, BoundedLoads) else ring
        if ring.nodes:
            self._ring.warm()  # many will ask
        self.route: Route
        if not self.replicas:
            self.route = _nobody
        elif isinstance(self._ring, Circle):
            self.route = _by_slot(self._ring, self.replicas)
        else:
            self.route = self._by_lookup

    def failover_order(self, key: int) -> list[Replica]:
        """The replicas in service for `key`: first `route(key)`, then who takes over from it."""
        if not self.replicas:
            return []
        return [self.replicas[node] for node in self._ring.preference(key) if node in self.replicas]

    def _by_lookup(self, key: int) -> Replica:
        return self.replicas.get(self._ring.lookup(key)) or self.failover_order(key)[0]


def _by_slot(ring: Circle[Any], replicas: Mapping[str, Replica]) -> Route:
    num_slots: int = ring.config.num_slots
    key_hash = integer_hash(ring.config.key_hash)
    # One more than nodes, so that index −1, "nobody", finds None.
    by_index = np.array([*(replicas.get(node) for node in ring.nodes), None], dtype=object)
    owners: list[Replica | None] = by_index[ring.owners(replicas.keys())].tolist()

    def route(key: int) -> Replica | None:
        return owners[key_hash(key) % num_slots]

    return route


def _nobody(key: int) -> None:
    return None
