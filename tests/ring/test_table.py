"""A ring from a table: the key's slot says its node, and the next one clockwise stands in."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ring.config import TableConfig
from ring.errors import EmptyRing, InvalidConfig, InvalidSnapshot, NodeExists, RingFull
from ring.presets import PRESETS
from ring.slots import SlotRing
from ring.table import TableRing

tables = st.lists(st.sampled_from("ABCD"), min_size=1, max_size=24)


def ring_of(table: Sequence[str], nodes: Sequence[str] | None = None) -> TableRing:
    """H is the identity, so that key s is slot s as long as s < M."""
    ring = TableRing(TableConfig(key_hash="identity", table=tuple(table)))
    for node_id, node in enumerate(sorted(set(table)) if nodes is None else nodes, 1):
        ring.add(node, node_id=node_id)
    return ring


# By hand


def test_six_slots() -> None:
    """Each key belongs to its slot's node, and those after it clockwise stand in."""
    ring = ring_of("AABCBA")
    assert "AABCBA" == "".join(ring.lookup(slot) for slot in range(6))
    assert ("C", "B", "A") == ring.preference(3)
    assert (0, 1, 5) == ring.slots_of("A")


def test_a_node_that_left_leaves_its_slots_to_the_next() -> None:
    """Through slot 0 too; and it gets them back, for no history is kept."""
    ring = ring_of("AABCBA")
    ring.remove("A")
    assert "BBBCBB" == "".join(ring.lookup(slot) for slot in range(6))
    ring.add("A", node_id=1)
    assert "AABCBA" == "".join(ring.lookup(slot) for slot in range(6))


def test_explain() -> None:
    """Probes are counted only past the slots of those that are not there."""
    ring = ring_of("AABCBA", nodes=["B", "C"])
    told = ring.explain(5)
    assert (5, 3, 2, "B") == (told.slot, told.probes, told.taken_slot, told.node)


# What is refused


def test_a_node_without_a_slot_is_refused() -> None:
    """It would serve nothing, and nobody would be told."""
    ring = ring_of("AB")
    with pytest.raises(RingFull, match="no slot for 'Server9'; it has for: A, B"):
        ring.add("Server9", node_id=9)
    with pytest.raises(NodeExists):
        ring.add("A", node_id=1)
    assert ("A", "B") == ring.nodes


def test_a_ring_without_nodes_has_no_node_for_a_key() -> None:
    """As every ring."""
    with pytest.raises(EmptyRing):
        ring_of("AB", nodes=[]).lookup(1)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"table": ()}, r"the table's length must be an integer in 1\.\.1048576, got 0"),
        ({"table": ("A", 2)}, r"table\[1\] must be a node's name, got 2"),
        ({"table": ("A",), "key_hash": "rot13"}, "key_hash must be one of identity"),
        ({"table": ("A",), "algorithm": "slots"}, "algorithm must be one of table, got 'slots'"),
    ],
)
def test_bad_configurations(fields: dict[str, object], message: str) -> None:
    """The value is named, and what is accepted."""
    with pytest.raises(InvalidConfig, match=message):
        TableConfig(**{"key_hash": "identity"} | fields)  # type: ignore[arg-type]


def test_a_snapshot_with_other_slots_is_refused() -> None:
    """The table says where a node is; nobody else does."""
    ring = ring_of("AAB")
    with pytest.raises(InvalidSnapshot, match="'A' must have the slots that the table gives it"):
        TableRing.restore(ring.config, {"A": (1, [0])})


# Laws


@given(tables, st.lists(st.integers(-(2**70), 2**70), max_size=30))
def test_the_table_is_the_lookup(table: list[str], keys: list[int]) -> None:
    """While all nodes are there."""
    ring = ring_of(table)
    assert [table[key % len(table)] for key in keys] == [ring.lookup(key) for key in keys]


@given(tables, st.sampled_from("ABCD"))
def test_removing_moves_only_the_keys_of_the_removed(table: list[str], gone: str) -> None:
    """And the key's next node takes them."""
    ring = ring_of(table)
    if gone not in ring.nodes or len(ring.nodes) == 1:
        return
    expected = [
        next(node for node in ring.preference(slot) if node != gone) for slot in range(len(table))
    ]
    ring.remove(gone)
    assert expected == [ring.lookup(slot) for slot in range(len(table))]


@given(tables, st.permutations("ABCD"))
def test_the_order_of_insertion_does_not_matter(table: list[str], order: list[str]) -> None:
    """Unlike where nodes probe for a place."""
    ring = ring_of(table, [node for node in order if node in table])
    assert ring_of(table).snapshot().keys() == ring.snapshot().keys()
    assert [ring_of(table).lookup(slot) for slot in range(len(table))] == [
        ring.lookup(slot) for slot in range(len(table))
    ]


@given(tables)
def test_a_snapshot_restores_the_ring(table: list[str]) -> None:
    """Placement and order of nodes."""
    ring = ring_of(table)
    twin = TableRing.restore(ring.config, ring.snapshot())
    assert list(ring.snapshot().items()) == list(twin.snapshot().items())


@pytest.mark.parametrize("preset", PRESETS)
def test_the_table_of_a_slot_ring_places_as_the_ring_does(preset: str) -> None:
    """Failover order included: dealt-out slots are the same arcs."""
    ring = SlotRing(PRESETS[preset])
    for node_id in (1, 2, 3):
        ring.add(f"Server{node_id}", node_id=node_id)
    table = tuple(ring.nodes[owner] for owner in ring.owners())
    dealt = TableRing(TableConfig(key_hash=ring.config.key_hash, table=table))
    for node in reversed(ring.nodes):
        dealt.add(node, node_id=ring.node_id(node))
    for key in range(100_000, 100_500):
        assert ring.preference(key) == dealt.preference(key)
