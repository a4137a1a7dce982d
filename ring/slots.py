"""The assignment's ring: M slots in a circle, K of them taken by each node.

Virtual node j of a node takes slot Φ(node_id, node, j) mod M or, when that is taken, the first free
slot of its probe sequence. A node of weight w has w · K virtual nodes.

Placement remembers history: who came first keeps the slot that both wanted, and a node stays where
probing put it when the reason for probing leaves. So removing a node moves only its keys, and two
rings of the same nodes can differ. That is why a snapshot tells the slots.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from ring.circle import FREE, TAKEN, Circle, first_clockwise
from ring.config import RingConfig
from ring.errors import InvalidSnapshot, RingFull
from ring.hashes import VIRTUAL_NODE_HASHES, splitmix64
from ring.placement import Node
from ring.presets import PRESETS


class SlotRing(Circle[RingConfig]):
    """A circle whose nodes take K slots each, by hashing and probing.

    Without a config it is the preset "default"; fields of RingConfig change what is given or that.
    Ids need not differ: Φ may give two nodes the same slots, and probing parts them. The answers
    depend on the order in which nodes came.
    """

    algorithm: ClassVar[str] = "slots"
    parameter_names: ClassVar[tuple[str, ...]] = (
        "key_hash",
        "virtual_node_hash",
        "num_slots",
        "num_virtual_nodes",
        "probing",
    )

    def __init__(self, config: RingConfig | None = None, **fields: Any) -> None:
        super().__init__(replace(config or PRESETS["default"], **fields))
        self._virtual_node_hash = VIRTUAL_NODE_HASHES[self.config.virtual_node_hash]

    def _slots_for(self, node: Node) -> tuple[int, ...]:
        taken = self._taken.copy()
        slots = []
        for j in range(node.weight * self.config.num_virtual_nodes):
            slot = self._probe(taken, self._virtual_node_hash(node.node_id, node.name, j))
            if slot < 0:
                raise RingFull(self._full_message(node.name, j))
            taken[slot] = TAKEN
            slots.append(slot)
        return tuple(slots)

    def _check_slots(self, node: str, slots: tuple[int, ...]) -> None:
        # Not compared with Φ: where a virtual node ended depends on nodes that may have left.
        each = self.config.num_virtual_nodes
        if not slots or len(slots) % each:
            raise InvalidSnapshot(f"{node!r} must have {each} slots per weight, got {len(slots)}")

    def _weight_of(self, slots: tuple[int, ...]) -> int:
        return len(slots) // self.config.num_virtual_nodes

    def _probe(self, taken: bytearray, wanted: int) -> int:
        """First free slot of the probe sequence that begins at wanted mod M, or -1.

        Linear: slot + d. Quadratic: slot + d(d+1)/2, the triangular numbers. Mod M = 2^m these
        differ for all d < M, so that every slot is visited: for two to be equal, 2M has to divide
        (d - e)(d + e + 1); one factor is odd, and the other is smaller than 2M. For other M some
        slots are never met, and a node can be refused while slots are free. Double: slot + d · s,
        the step s a second hash of what was wanted, made odd: mod M = 2^m it meets every slot; for
        other M a step that shares a factor with M does not. Steps from M on meet no new slot.
        Source: Knuth, TAOCP 3, 6.4, for all three.
        """
        num_slots, probing = self._num_slots, self.config.probing
        slot = wanted % num_slots
        if probing == "linear":
            return first_clockwise(taken, FREE, slot)
        stride = splitmix64(wanted) | 1
        for step in range(1, num_slots + 1):
            if taken[slot] == FREE:
                return slot
            slot = (slot + (step if probing == "quadratic" else stride)) % num_slots
        return -1

    def _full_message(self, node: str, j: int) -> str:
        config = self.config
        return (
            f"no free slot for virtual node {j} of {node!r}: the ring holds {len(self._nodes)} of "
            f"at most {config.capacity} nodes ({config.num_slots} slots, "
            f"{config.num_virtual_nodes} virtual nodes each, {config.probing} probing)"
        )
