"""What every placement algorithm can do, so that one can be exchanged for another."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from ring.errors import (
    EmptyRing,
    InvalidSnapshot,
    InvalidWeight,
    NodeExists,
    NodeUnknown,
    RingError,
)
from ring.keys import Key, Keys

Indices: TypeAlias = npt.NDArray[np.intp]

_NUMBERED = re.compile(r"Server([1-9][0-9]{0,8})")


@dataclass(frozen=True, slots=True)
class Node:
    """A node as it was added. node_id is an integer, which some algorithms hash, not the name."""

    name: str
    weight: int
    node_id: int


class Placement(ABC):
    """A set of nodes, and a rule that gives each key one of them.

    Two laws hold unless the algorithm's docstring states a weaker one: adding a node moves keys
    only to it, and removing a node moves only its keys. And unless it says so, history is
    forgotten: the same nodes give the same answers, in whatever order they were added.

    Deterministic, and not locked: one owner changes it, others get copies.
    """

    algorithm: ClassVar[str]  # its name in `ring.ALGORITHMS`
    parameter_names: ClassVar[tuple[str, ...]] = ()  # the keys of `parameters`
    max_weight: ClassVar[int] = 10_000  # weights are relative, so that more only costs memory

    def __init__(self) -> None:
        self._members: dict[str, Node] = {}  # in order of insertion
        self._nodes: tuple[str, ...] = ()
        self._ids = Counter[int]()  # how many nodes have each
        self._lowest_id = 1  # no id below it is free

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.parameters().items())
        return f"<{type(self).__name__}({given}) of {len(self._nodes)} nodes>"

    # Nodes

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of the nodes, in order of insertion."""
        return self._nodes

    def node(self, name: str) -> Node:
        """The node as it was added. NodeUnknown."""
        try:
            return self._members[name]
        except KeyError:
            known = ", ".join(self._nodes) or "none"
            raise NodeUnknown(f"node {name!r} is not on the ring; there are: {known}") from None

    def add(self, node: str, weight: int = 1, *, node_id: int | None = None) -> object:
        """Place a node whose share is `weight` times that of one with weight 1.

        node_id: None gives it `free_id`. NodeExists, InvalidWeight (1..`max_weight`, which is 1
        where the algorithm knows no weights), RingFull; then nothing has changed.
        """
        if node in self._members:
            raise NodeExists(f"node {node!r} is on the ring already, a new name is wanted")
        # The exact type, because True is an int too.
        if type(weight) is not int or not 1 <= weight <= self.max_weight:
            accepted = f"an integer in 1..{self.max_weight}" if self.max_weight > 1 else "1"
            raise InvalidWeight(f"weight must be {accepted} in {self.algorithm}, got {weight!r}")
        entry = Node(node, weight, self.free_id(node) if node_id is None else node_id)
        self._admit(entry)
        self._enter(entry)
        return None

    def remove(self, node: str) -> None:
        """Take a node away. NodeUnknown if it is not there; then nothing has changed."""
        entry = self.node(node)
        self._dismiss(entry, self._nodes.index(node))
        del self._members[node]
        self._nodes = tuple(self._members)
        self._ids -= Counter([entry.node_id])
        self._lowest_id = max(1, min(self._lowest_id, entry.node_id))

    def free_id(self, node: str) -> int:
        """The id that `node` gets if none is given: K for `ServerK` while K is free, else the
        smallest from 1 that is."""
        if (match := _NUMBERED.fullmatch(node)) and int(match[1]) not in self._ids:
            return int(match[1])
        while self._lowest_id in self._ids:
            self._lowest_id += 1
        return self._lowest_id

    @property
    def can_remove_any(self) -> bool:
        """Whether every node can be removed, not only the last one."""
        return True

    # Keys

    @abstractmethod
    def key_hash(self, key: Key) -> int:
        """H(key): all that the algorithm sees of the key."""

    @abstractmethod
    def lookup(self, key: Key) -> str:
        """Node of the key. EmptyRing if there is no node."""

    @abstractmethod
    def lookup_many(self, keys: Keys) -> Indices:
        """Index into `nodes` of the node of each key: the same answers as `lookup`, in bulk.

        keys: an array or a sequence, length n (see `ring.keys`); the result has shape (n,).
        EmptyRing if there is no node and n > 0.
        """

    def warm(self) -> None:
        """Work out now what is else worked out when enough has been asked. EmptyRing."""
        self.preference(0, 1)

    @abstractmethod
    def preference(self, key: Key, count: int | None = None) -> tuple[str, ...]:
        """The first `count` distinct nodes for the key (None: all), lookup(key) first.

        Each takes over when those before it fail. Shorter than `count` when there are fewer nodes.
        EmptyRing if there is no node; ValueError if count < 1.
        """

    # As data

    @abstractmethod
    def parameters(self) -> dict[str, Any]:
        """Keyword arguments that make the same placement without nodes; JSON can hold them."""

    def summary(self) -> dict[str, Any]:
        """Algorithm and parameters, for people to read."""
        return {"algorithm": self.algorithm, **self.parameters()}

    def empty(self) -> Self:
        """A placement of the same algorithm and parameters, without nodes."""
        return type(self)(**self.parameters())

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON can hold it: algorithm, parameters, nodes in order of insertion."""
        nodes = [asdict(each) for each in self._members.values()]
        return {"algorithm": self.algorithm, "parameters": self.parameters(), "nodes": nodes}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The placement that `to_dict` took apart. InvalidSnapshot names what cannot be."""
        try:
            made = cls(**data["parameters"])
            for each in data["nodes"]:
                made.add(each["name"], each["weight"], node_id=each["node_id"])
        except (KeyError, TypeError, ValueError, RingError) as error:
            raise InvalidSnapshot(f"not a snapshot of {cls.algorithm}: {error!r}") from error
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        """For pickle, and the module `copy`: as data."""
        return type(self).from_dict, (self.to_dict(),)

    def copy(self) -> Self:
        """A placement of its own with the same nodes and answers."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin._slow_down()  # the quick lookup is this one's
        twin._members, twin._ids = self._members.copy(), self._ids.copy()
        return twin

    # What an algorithm does; self.nodes and self._members are still those before the change

    @abstractmethod
    def _admit(self, node: Node) -> None:
        """Take the node in, or raise and change nothing."""

    @abstractmethod
    def _dismiss(self, node: Node, index: int) -> None:
        """Let the node at `index` of `nodes` go; those behind it move up by one."""

    # What algorithms share

    def _quicken(self, find: Callable[[Key], str]) -> None:
        """Let lookups be `find`: a function that has all it needs at hand takes a third less time
        than a method. It must notice when it is outdated, for a caller may have kept it; and as it
        knows us, and we it, only the collector can clear both away: not for who makes many rings.
        """
        self.__dict__["lookup"] = find

    def _slow_down(self) -> None:
        """Let lookups be the method again."""
        self.__dict__.pop("lookup", None)

    def _enter(self, node: Node) -> None:
        """It is one of us, from now on."""
        self._members[node.name] = node
        self._nodes = (*self._nodes, node.name)
        self._ids[node.node_id] += 1

    def _wanted(self, count: int | None) -> int:
        """How many nodes `preference` is to return. EmptyRing, ValueError."""
        if count is not None and count < 1:
            raise ValueError(f"count must be >= 1 or None, got {count}")
        if not self._nodes:
            raise no_nodes()
        return len(self._nodes) if count is None else min(count, len(self._nodes))


def no_nodes() -> EmptyRing:
    return EmptyRing("no node is on the ring, a lookup needs at least one")
