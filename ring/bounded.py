"""Consistent hashing with bounded loads: whoever has too much is passed over.

With m keys out at n nodes, none may have more than ⌈c · (m + 1) / n⌉, the one that comes included;
a key goes to the first of its preference list that may take it. c near 1 is even and moves keys
with every change of the loads; a larger c leaves them where they belong.

Source: Mirrokni, Thorup, Zadimoghaddam, "Consistent hashing with bounded loads", SODA 2018,
arXiv:1608.01350.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, ClassVar, Self, TypeVar

import numpy as np

from ring.errors import InvalidConfig, InvalidSnapshot, NodeUnknown, RingError
from ring.keys import Key, Keys
from ring.placement import Indices, Node, Placement

MAX_LOAD_FACTOR = 1000.0

Bearer = TypeVar("Bearer")


def capacity_of(load_factor: float, num_keys: int, weight: int, weights: int) -> int:
    """⌈c · num_keys · weight / weights⌉, exact, and c as it is written: 1.1 is 11/10, though the
    float is a little more. weight: of one node; weights: of all. With equal ones, 1 and n."""
    over, under = _as_written(load_factor)
    return -(-over * num_keys * weight // (under * weights))


@lru_cache(64)  # asked for each key
def _as_written(number: float) -> tuple[int, int]:
    return Decimal(repr(number)).as_integer_ratio()


def first_below(
    order: Iterable[Bearer], load_of: Callable[[Bearer], int], capacity: int
) -> Bearer | None:
    """The first of `order` whose load is below `capacity`, None if there is none: the rule itself,
    for loads that are counted elsewhere."""
    for bearer in order:
        if load_of(bearer) < capacity:
            return bearer
    return None


def check_load_factor(value: object) -> None:
    """InvalidConfig unless it is a number above 1, for at 1 every change moves keys."""
    if type(value) not in (int, float) or not 1 < value <= MAX_LOAD_FACTOR:  # type: ignore[operator]
        raise InvalidConfig(
            f"load_factor must be a number above 1, at most {MAX_LOAD_FACTOR:g}, got {value!r}"
        )


class BoundedLoads(Placement):
    """Any placement, with the loads bounded: load_factor is c, 1 < c ≤ 1000 (InvalidConfig).

    `acquire` takes a place for a key and `release` gives it back; lookups tell where a key would go
    now, and change nothing. Weights bound in proportion. The laws are those of the placement for as
    long as nobody is full. `to_dict` does not tell the loads, for keys are on their way.
    """

    algorithm: ClassVar[str] = "bounded"
    parameter_names: ClassVar[tuple[str, ...]] = ("placement", "load_factor")

    def __init__(self, placement: Placement, load_factor: float = 1.25) -> None:
        super().__init__()
        check_load_factor(load_factor)
        self.placement = placement.copy()
        self.load_factor = load_factor
        self.loads: dict[str, int] = {}
        for name in placement.nodes:
            self._enter(placement.node(name))
            self.loads[name] = 0

    def parameters(self) -> dict[str, Any]:
        inner = {"algorithm": self.placement.algorithm, "parameters": self.placement.parameters()}
        return {"placement": inner, "load_factor": self.load_factor}

    def summary(self) -> dict[str, Any]:
        return self.placement.summary() | {"load_factor": self.load_factor}

    def empty(self) -> Self:
        return type(self)(self.placement.empty(), self.load_factor)

    @property
    def can_remove_any(self) -> bool:
        return self.placement.can_remove_any

    # Keys

    def key_hash(self, key: Key) -> int:
        return self.placement.key_hash(key)

    def acquire(self, key: Key) -> str:
        """The key's node at the present loads, whose load is one more from now on. EmptyRing."""
        node = self.lookup(key)
        self.loads[node] += 1
        return node

    def release(self, node: str) -> None:
        """One key of the node is done. NodeUnknown; ValueError if it has none."""
        if node not in self.loads:
            raise NodeUnknown(f"node {node!r} is not on the ring")
        if not self.loads[node]:
            raise ValueError(f"node {node!r} has no key to release")
        self.loads[node] -= 1

    def capacity(self, node: str) -> int:
        """Keys that the node may have when one more comes. NodeUnknown."""
        weights = sum(each.weight for each in self._members.values())
        num_keys = sum(self.loads.values()) + 1
        return capacity_of(self.load_factor, num_keys, self.node(node).weight, weights)

    def lookup(self, key: Key) -> str:
        """The first of the preference list that is not full. EmptyRing."""
        first = self.placement.lookup(key)
        if self.loads[first] < self.capacity(first):
            return first
        return self.preference(key, 1)[0]

    def lookup_many(self, keys: Keys) -> Indices:
        """Each at the present loads, as if it came alone."""
        found = self.placement.lookup_many(keys)
        if not len(found):
            return found
        is_full = np.array([not self._has_room(node) for node in self._nodes], bool)
        each = keys.tolist() if isinstance(keys, np.ndarray) else keys
        for at in np.flatnonzero(is_full[found]).tolist():
            found[at] = self._nodes.index(self.lookup(each[at]))
        return found

    def preference(self, key: Key, count: int | None = None) -> tuple[str, ...]:
        """The placement's, those with room first. EmptyRing; ValueError if count < 1."""
        wanted = self._wanted(count)
        order = self.placement.preference(key)
        roomy = [node for node in order if self._has_room(node)]
        return tuple([*roomy, *(node for node in order if node not in roomy)][:wanted])

    def copy(self) -> Self:
        twin = super().copy()
        twin.placement, twin.loads = self.placement.copy(), self.loads.copy()
        return twin

    def to_dict(self) -> dict[str, Any]:
        return super().to_dict() | {"placement": self.placement.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The placement that `to_dict` took apart, nobody loaded. InvalidSnapshot."""
        from ring.algorithms import from_dict  # which knows us, too

        try:
            return cls(from_dict(data["placement"]), data["parameters"]["load_factor"])
        except (KeyError, TypeError, ValueError, RingError) as error:
            raise InvalidSnapshot(f"not a snapshot of {cls.algorithm}: {error!r}") from error

    # Inside

    def _has_room(self, node: str) -> bool:
        return self.loads[node] < self.capacity(node)

    def _admit(self, node: Node) -> None:
        self.placement.add(node.name, node.weight, node_id=node.node_id)
        self.loads[node.name] = 0

    def _dismiss(self, node: Node, index: int) -> None:
        self.placement.remove(node.name)
        del self.loads[node.name]
