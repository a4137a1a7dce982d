"""What every placement algorithm can do, so that one can be exchanged for another."""

from typing import Protocol


class Placement(Protocol):
    """A set of nodes, and a rule that gives each key one of them.

    Two laws hold unless the algorithm's docstring states a weaker one: adding a node moves keys
    only to it, and removing a node moves only its keys.
    """

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of the nodes, in order of insertion."""

    def add(self, node: str, node_id: int) -> object:
        """Place a node. NodeExists or RingFull, and then nothing has changed."""

    def remove(self, node: str) -> None:
        """Take a node away. NodeUnknown if it is not there."""

    def lookup(self, key: int) -> str:
        """Node of the key. EmptyRing if there is no node."""

    def preference_list(self, key: int, count: int | None = None) -> tuple[str, ...]:
        """The first `count` distinct nodes for the key (None: all), lookup(key) first.

        Each takes over when those before it fail. EmptyRing if there is no node.
        """
