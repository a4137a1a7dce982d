"""A ring from a table: each slot's node was chosen beforehand, by whatever means, and is data.

While all nodes of the table are there, the key's slot says its node. A node that has left leaves
its slots to the next one clockwise, and gets them back when it returns: no history.
"""

from __future__ import annotations

from typing import Any, ClassVar

from ring.circle import Circle
from ring.config import TableConfig
from ring.errors import InvalidSnapshot, RingFull
from ring.placement import Node


class TableRing(Circle[TableConfig]):
    """A circle whose nodes take the slots that config.table gives them; others it refuses."""

    algorithm: ClassVar[str] = "table"
    parameter_names: ClassVar[tuple[str, ...]] = ("key_hash", "table")
    max_weight: ClassVar[int] = 1  # the table says it

    def __init__(self, config: TableConfig | None = None, **fields: Any) -> None:
        super().__init__(config or TableConfig(**fields))

    def _slots_for(self, node: Node) -> tuple[int, ...]:
        slots = self._dealt(node.name)
        if not slots:
            named = ", ".join(dict.fromkeys(self.config.table))
            raise RingFull(f"the table has no slot for {node.name!r}; it has for: {named}")
        return slots

    def _check_slots(self, node: str, slots: tuple[int, ...]) -> None:
        if slots != self._dealt(node):
            raise InvalidSnapshot(f"{node!r} must have the slots that the table gives it")

    def _weight_of(self, slots: tuple[int, ...]) -> int:
        return 1

    def _dealt(self, node: str) -> tuple[int, ...]:
        return tuple(slot for slot, name in enumerate(self.config.table) if name == node)
