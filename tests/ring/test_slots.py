"""SlotRing by hand: eight slots, two virtual nodes, H the identity.

Φ(i, j) = i² + (j + 1)² + 24 mod 8 wants the slots
    A (1): 2 5    B (2): 5 0    C (3): 2 5    D (4): 1 4
so that A, B, C, D in this order, with linear probing, get
    A: 2 5    B: 6 0    C: 3 7    D: 1 4
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ring.circle import Explanation
from ring.config import RingConfig
from ring.errors import EmptyRing, InvalidSnapshot, NodeExists, NodeUnknown, RingFull
from ring.hashes import splitmix64
from ring.presets import PRESETS
from ring.slots import SlotRing

EIGHT_SLOTS = RingConfig(
    key_hash="identity", virtual_node_hash="assignment", num_slots=8, num_virtual_nodes=2
)
NODE_IDS = {"A": 1, "B": 2, "C": 3, "D": 4, "E": 5}


def ring_of(nodes: str, config: RingConfig = EIGHT_SLOTS) -> SlotRing:
    """A ring of the one-letter nodes, added in this order."""
    ring = SlotRing(config)
    for node in nodes:
        ring.add(node, node_id=NODE_IDS[node])
    return ring


def table_of(ring: SlotRing, live: str | None = None) -> str:
    """Owner of each slot, one letter each; "." for nobody."""
    return "".join("." if index < 0 else ring.nodes[index] for index in ring.owners(live))


def test_add_returns_the_slots_in_j_order() -> None:
    """A taken slot sends the virtual node to the next free one, around the end of the ring too."""
    ring = SlotRing(EIGHT_SLOTS)
    assert [(2, 5), (6, 0), (3, 7), (1, 4)] == [
        ring.add(node, node_id=NODE_IDS[node]) for node in "ABCD"
    ]


def test_linear_probing_passes_the_end_of_the_ring() -> None:
    """Slots 5, 6, 7 and 0 are taken; the next free one after 5 is 1."""
    config = replace(EIGHT_SLOTS, num_virtual_nodes=4)
    ring = SlotRing(config)
    ring.add("A", node_id=1)  # wants 2 5 2 1, gets 2 5 3 1
    assert (6, 0, 7, 4) == ring.add("C", node_id=2)  # wants 5 0 5 4


def test_quadratic_probing_steps_by_triangular_numbers() -> None:
    """C wants 5 a second time: 5, 5 + 1, 5 + 3, 5 + 6 are taken, 5 + 10 mod 8 = 7 is free."""
    ring = ring_of("ABC", replace(EIGHT_SLOTS, probing="quadratic"))
    assert {"A": (1, (2, 5)), "B": (2, (6, 0)), "C": (3, (3, 7))} == ring.snapshot()


def test_quadratic_probing_misses_slots_unless_m_is_a_power_of_two() -> None:
    """Mod 3 the triangular numbers are 0, 1, 0, 0, 1 …: the third slot is free and never met."""
    config = replace(EIGHT_SLOTS, num_slots=3, num_virtual_nodes=1)
    assert (1,) == ring_of("AB", config).add("D", node_id=4)
    quadratic = ring_of("AB", replace(config, probing="quadratic"))
    with pytest.raises(RingFull, match="holds 2 of at most 3 nodes"):
        quadratic.add("D", node_id=4)


def test_double_hashing_steps_by_a_second_hash() -> None:
    """B's second virtual node wants 0 + 24, which is slot 0; C's first wants 34, which A has in
    slot 2, and goes on by splitmix64(34), an odd number, mod 8."""
    ring = ring_of("AB", replace(EIGHT_SLOTS, probing="double"))
    stride = (splitmix64(34) | 1) % 8
    expected = next(
        slot
        for d in range(8)
        if (slot := (2 + d * stride) % 8) not in {2, 5, 0} | set(ring.slots_of("B"))
    )
    assert expected == ring.add("C", node_id=3)[0]


def test_weight_multiplies_virtual_nodes() -> None:
    """A node of weight 2 has twice K slots, those of j up to 2K - 1."""
    ring = SlotRing(EIGHT_SLOTS)
    assert (2, 5, 3, 1) == ring.add("A", 2, node_id=1)  # wants 2 5 2 1
    assert SlotRing.restore(EIGHT_SLOTS, ring.snapshot()).node("A") == ring.node("A")
    assert 2 == ring.node("A").weight


def test_lookup_takes_the_nearest_taken_slot_clockwise() -> None:
    """A taken slot serves itself and the free ones before it; behind 6 the ring begins again."""
    ring = ring_of("AB")  # taken: 0 B, 2 A, 5 A, 6 B
    assert "BAAAAABB" == "".join(ring.lookup(key) for key in range(8))
    assert "BAAAAABB" == table_of(ring)


def test_lookup_takes_keys_beyond_the_slots() -> None:
    """H(key) counts mod M, for negative keys too."""
    ring = ring_of("AB")
    assert ["A", "B", "B"] == [ring.lookup(key) for key in (8 + 5, -1, 2**70 * 8 + 7)]


def test_preference_list_has_distinct_nodes_clockwise() -> None:
    """From slot 3 on: C 3, A 5, B 6, and then slots of nodes that are listed already."""
    ring = ring_of("ABC")
    assert ("C", "A", "B") == ring.preference(3)
    assert ("C", "B", "A") == ring.preference(7)
    assert ("C", "A") == ring.preference(3, 2)
    assert ("C", "A", "B") == ring.preference(3, 9)


@pytest.mark.parametrize("count", [0, -1])
def test_preference_list_refuses_a_count_below_one(count: int) -> None:
    """The message names the count."""
    with pytest.raises(ValueError, match=f"count must be >= 1 or None, got {count}"):
        ring_of("AB").preference(3, count)


def test_owners_among_live_nodes() -> None:
    """A node that is not live keeps its slots, and its keys go to the next live one."""
    ring = ring_of("ABC")  # taken: 0 B, 2 A, 3 C, 5 A, 6 B, 7 C
    assert "BAACAABC" == table_of(ring)
    assert "BCCCBBBC" == table_of(ring, live="BC")
    assert "AAAAAAAA" == table_of(ring, live="A")
    assert "........" == table_of(ring, live="")
    assert "AAAAAAAA" == table_of(ring, live="AX")


def test_owners_of_an_empty_ring() -> None:
    """Nobody owns any slot, and that is no error: a table can be built of it."""
    assert "........" == table_of(SlotRing(EIGHT_SLOTS))


def test_owners_is_a_copy() -> None:
    """What was handed out changes nothing on the ring, and is not changed by it."""
    ring = ring_of("AB")
    handed_out = ring.owners()
    handed_out[:] = 0
    ring.add("C", node_id=3)
    assert [0] * 8 == handed_out.tolist()
    assert "BAACAABC" == table_of(ring)


def test_snapshot_is_a_copy() -> None:
    """It stays what it was when the ring changes."""
    ring = ring_of("A")
    snapshot = ring.snapshot()
    ring.add("B", node_id=2)
    assert {"A": (1, (2, 5))} == snapshot


def test_explain_tells_every_step() -> None:
    """Key 33 hashes to 33, slot 1; slot 1 is passed, 2 is A's."""
    assert Explanation(
        key=33, hash=33, slot=1, probes=1, taken_slot=2, node="A", preference_list=("A", "C", "B")
    ) == ring_of("ABC").explain(33)


def test_explain_counts_the_slots_passed_around_the_end() -> None:
    """From 7 to 2 by way of 0 and 1 are three slots passed."""
    explanation = ring_of("A").explain(7)
    assert (7, 3, 2, "A") == (
        explanation.slot,
        explanation.probes,
        explanation.taken_slot,
        explanation.node,
    )


def test_removed_node_leaves_the_others_where_they_are() -> None:
    """B and C stay where A's presence put them, though A is gone."""
    ring = ring_of("ABC")
    ring.remove("A")
    assert {"B": (2, (6, 0)), "C": (3, (3, 7))} == ring.snapshot()
    assert ("B", "C") == ring.nodes
    assert "BCCCBBBC" == table_of(ring)


def test_node_that_comes_back_gets_its_free_slots_again() -> None:
    """Same name, same id, slots free: the same placement, at the end of the order."""
    ring = ring_of("ABC")
    ring.remove("A")
    assert (2, 5) == ring.add("A", node_id=1)
    assert ("B", "C", "A") == ring.nodes
    assert "BAACAABC" == table_of(ring)


def test_placement_depends_on_the_order_of_insertion() -> None:
    """Both want slot 5, and who came first has it."""
    assert {"A": (2, 5), "B": (6, 0)} == {n: ring_of("AB").slots_of(n) for n in "AB"}
    assert {"A": (2, 6), "B": (5, 0)} == {n: ring_of("BA").slots_of(n) for n in "AB"}


def test_nodes_of_one_id_are_parted_by_probing() -> None:
    """Φ of the assignment knows a node by its id only."""
    ring = SlotRing(EIGHT_SLOTS)
    assert [(2, 5), (3, 6)] == [ring.add(node, node_id=1) for node in ("A", "B")]


def test_accessors_answer_what_was_added() -> None:
    """Order of insertion, ids, slots, and key slots."""
    ring = ring_of("CA")
    assert ("C", "A") == ring.nodes
    assert (3, 1) == (ring.node_id("C"), ring.node_id("A"))
    assert (2, 5) == ring.slots_of("C")
    assert 7 == ring.key_slot(-1)
    assert "<SlotRing of 2 nodes, at most 4>" == repr(ring)


def test_full_ring_refuses_a_node_and_names_its_capacity() -> None:
    """All eight slots are taken: the fifth node of two virtual nodes is one too many."""
    with pytest.raises(RingFull, match=r"virtual node 0 of 'E'.* 4 of at most 4 nodes \(8 slots"):
        ring_of("ABCD").add("E", node_id=5)


def test_node_that_fits_in_part_is_refused_whole() -> None:
    """Two slots are free and three wanted: nothing is taken."""
    config = replace(EIGHT_SLOTS, num_virtual_nodes=3)
    ring = ring_of("AB", config)
    before = ring.snapshot(), table_of(ring)
    with pytest.raises(RingFull, match=r"virtual node 2 of 'C'.* 2 of at most 2 nodes"):
        ring.add("C", node_id=3)
    assert before == (ring.snapshot(), table_of(ring))
    assert table_of(ring) == "".join(ring.lookup(slot) for slot in range(8))
    assert ("A", "B") == ring.nodes


@pytest.mark.parametrize(
    ("preset", "capacity"), [("assignment", 56), ("seed-deployed", 6), ("default", 409)]
)
@pytest.mark.parametrize("probing", ["linear", "quadratic", "double"])
def test_presets_hold_their_capacity_and_not_one_more(
    preset: str, capacity: int, probing: str
) -> None:
    """Powers of two as they are, every probing finds the last free slot."""
    ring = SlotRing(replace(PRESETS[preset], probing=probing))
    for node_id in range(1, capacity + 1):
        ring.add(f"Server{node_id}", node_id=node_id)
    with pytest.raises(RingFull, match=f"holds {capacity} of at most {capacity} nodes"):
        ring.add("one-more", node_id=capacity + 1)
    assert capacity == len(ring.nodes)


def test_assignment_crowds_three_nodes_into_one_arc() -> None:
    """All 27 virtual nodes lie in slots 26 to 114, so one arc of 424 slots is Server1's."""
    ring = SlotRing(PRESETS["assignment"])
    slots = sorted(slot for i in (1, 2, 3) for slot in ring.add(f"Server{i}", node_id=i))
    assert (27, 26, 114) == (len(slots), slots[0], slots[-1])
    assert [0] * 424 == [*ring.owners()[115:], *ring.owners()[:27]]


def test_node_on_the_ring_is_not_added_again() -> None:
    """A name is one node, whatever its id."""
    ring = ring_of("AB")
    with pytest.raises(NodeExists, match="node 'A' is on the ring already"):
        ring.add("A", node_id=7)
    assert ring_of("AB").snapshot() == ring.snapshot()


@pytest.mark.parametrize("call", [SlotRing.remove, SlotRing.node_id, SlotRing.slots_of])
def test_unknown_node_is_named_with_those_that_are_known(
    call: Callable[[SlotRing, str], object],
) -> None:
    """And nothing has changed."""
    ring = ring_of("AB")
    with pytest.raises(NodeUnknown, match="node 'X' is not on the ring; there are: A, B"):
        call(ring, "X")
    assert ring_of("AB").snapshot() == ring.snapshot()


@pytest.mark.parametrize("call", [SlotRing.lookup, SlotRing.preference, SlotRing.explain])
def test_empty_ring_has_no_node_for_a_key(call: Callable[[SlotRing, int], object]) -> None:
    """Neither from the start nor after the last node has left."""
    emptied = ring_of("A")
    emptied.remove("A")
    for ring in (SlotRing(EIGHT_SLOTS), emptied):
        with pytest.raises(EmptyRing, match="at least one"):
            call(ring, 3)


def test_restore_keeps_a_history_that_new_adds_would_not_give() -> None:
    """C sits in slot 3 because A was there; added anew it would get slot 2."""
    ring = ring_of("ABC")
    ring.remove("A")
    restored = SlotRing.restore(EIGHT_SLOTS, ring.snapshot())
    assert {"B": (2, (6, 0)), "C": (3, (3, 7))} == restored.snapshot()
    assert "BCCCBBBC" == table_of(restored)
    assert (2, 5) == restored.add("A", node_id=1)


@pytest.mark.parametrize(
    ("snapshot", "message"),
    [
        ({"A": (1, (2, 2))}, "'A' must be free and differ, got 2"),
        ({"A": (1, (2, 5)), "B": (2, (5, 0))}, "'B' must be free and differ, got 5"),
        ({"A": (1, (2, 8))}, r"'A' must be integers in 0\.\.7, got 8"),
        ({"A": (1, (-1, 2))}, r"'A' must be integers in 0\.\.7, got -1"),
        ({"A": (1, (2.0, 5))}, r"'A' must be integers in 0\.\.7, got 2\.0"),
        ({"A": (1, (True, 5))}, r"'A' must be integers in 0\.\.7, got True"),
        ({"A": (1, "25")}, r"'A' must be integers in 0\.\.7, got '2'"),
        ({"A": (1, (2,))}, "'A' must have 2 slots per weight, got 1"),
        ({"A": (1, (2, 3, 5))}, "'A' must have 2 slots per weight, got 3"),
        ({"A": ("1", (2, 5))}, "node_id of 'A' must be an integer, got '1'"),
        ({"A": (1, 2)}, r"'A' must have \(node_id, slots\), got \(1, 2\)"),
        ({"A": (1, (2, 5), 7)}, r"'A' must have \(node_id, slots\)"),
        ({"A": None}, r"'A' must have \(node_id, slots\), got None"),
    ],
)
def test_restore_refuses_what_no_ring_can_hold(snapshot: dict[str, Any], message: str) -> None:
    """The message names the node, what is accepted, and what came."""
    with pytest.raises(InvalidSnapshot, match=message):
        SlotRing.restore(EIGHT_SLOTS, snapshot)


def test_a_copy_is_a_ring_of_its_own() -> None:
    """What happens to it, coming and going, does not happen to the original."""
    ring = ring_of("AB")
    snapshot, lookups = ring.snapshot(), [ring.lookup(key) for key in range(8)]
    twin = ring.copy()
    assert snapshot == twin.snapshot()
    twin.remove("A")
    twin.add("D", node_id=4)
    assert snapshot == ring.snapshot()
    assert lookups == [ring.lookup(key) for key in range(8)]
    assert ring_of("AB").add("D", node_id=4) == ring.add("D", node_id=4)
