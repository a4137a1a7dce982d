"""A ring from a table: each slot's node was chosen beforehand, by whatever means, and is data.

While all nodes of the table are there, the key's slot says its node. A node that has left leaves
its slots to the next one clockwise, and gets them back when it returns: no history.
"""

from ring.circle import Circle
from ring.config import TableConfig
from ring.errors import InvalidSnapshot, RingFull


class TableRing(Circle[TableConfig]):
    """A circle whose nodes take the slots that config.table gives them; others it refuses."""

    def _slots_for(self, node: str, node_id: int) -> tuple[int, ...]:
        slots = self._dealt(node)
        if not slots:
            named = ", ".join(dict.fromkeys(self.config.table))
            raise RingFull(f"the table has no slot for {node!r}; it has for: {named}")
        return slots

    def _check_slots(self, node: str, slots: tuple[int, ...]) -> None:
        if slots != self._dealt(node):
            raise InvalidSnapshot(f"{node!r} must have the slots that the table gives it")

    def _dealt(self, node: str) -> tuple[int, ...]:
        return tuple(slot for slot, name in enumerate(self.config.table) if name == node)
