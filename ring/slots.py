"""The assignment's ring: M slots in a circle, K of them taken by each node.

Virtual node j of a node takes slot Φ(node_id, node, j) mod M or, when that is taken, the first free
slot of its probe sequence.

Placement remembers history: who came first keeps the slot that both wanted, and a node stays where
probing put it when the reason for probing leaves. So removing a node moves only its keys, and two
rings of the same nodes can differ. That is why there is a snapshot.
"""

from ring.circle import FREE, TAKEN, Circle, first_clockwise
from ring.config import RingConfig
from ring.errors import InvalidSnapshot, RingFull
from ring.hashes import VIRTUAL_NODE_HASHES


class SlotRing(Circle[RingConfig]):
    """A circle whose nodes take K slots each, by hashing and probing.

    Ids need not differ: Φ may give two nodes the same slots, and probing parts them.
    """

    def __init__(self, config: RingConfig) -> None:
        super().__init__(config)
        self._virtual_node_hash = VIRTUAL_NODE_HASHES[config.virtual_node_hash]

    def _slots_for(self, node: str, node_id: int) -> tuple[int, ...]:
        taken = self._taken.copy()
        slots = []
        for j in range(self.config.num_virtual_nodes):
            slot = self._virtual_node_hash(node_id, node, j) % self.config.num_slots
            free_slot = self._probe(taken, slot)
            if free_slot < 0:
                raise RingFull(self._full_message(node, j))
            taken[free_slot] = TAKEN
            slots.append(free_slot)
        return tuple(slots)

    def _check_slots(self, node: str, slots: tuple[int, ...]) -> None:
        # Not compared with Φ: where a virtual node ended depends on nodes that may have left.
        wanted = self.config.num_virtual_nodes
        if len(slots) != wanted:
            raise InvalidSnapshot(f"{node!r} must have {wanted} slots, got {len(slots)}")

    def _probe(self, taken: bytearray, slot: int) -> int:
        """First free slot of the probe sequence that begins at slot, or -1.

        Linear: slot + d. Quadratic: slot + d(d+1)/2, the triangular numbers. Mod M = 2^m these
        differ for all d < M, so that every slot is visited: for two to be equal, 2M has to divide
        (d - e)(d + e + 1); one factor is odd, and the other is smaller than 2M. For other M some
        slots are never met, and a node can be refused while slots are free. Steps from M on meet
        no new slot for any M.
        """
        if self.config.probing == "linear":
            return first_clockwise(taken, FREE, slot)
        for step in range(1, self.config.num_slots + 1):
            if taken[slot] == FREE:
                return slot
            slot = (slot + step) % self.config.num_slots
        return -1

    def _full_message(self, node: str, j: int) -> str:
        config = self.config
        return (
            f"no free slot for virtual node {j} of {node!r}: the ring holds {len(self._nodes)} of "
            f"at most {config.capacity} nodes ({config.num_slots} slots, "
            f"{config.num_virtual_nodes} virtual nodes each, {config.probing} probing)"
        )
