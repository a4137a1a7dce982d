"""The laws of SlotRing over random histories, for every preset, both probings, and small rings.

A history is a list of node ids: each is added if it is absent, and removed if it is present. What a
full ring refuses is part of the history, too.
"""

import json
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ring.config import PROBINGS, RingConfig
from ring.errors import RingFull
from ring.hashes import KEY_HASHES, VIRTUAL_NODE_HASHES, splitmix64
from ring.presets import PRESETS
from ring.slots import SlotRing

laws = settings(deadline=None, max_examples=80)


@st.composite
def small_configs(draw: st.DrawFn) -> RingConfig:
    """Up to 24 slots, so that collisions and full rings are the rule."""
    num_slots = draw(st.integers(1, 24))
    return RingConfig(
        key_hash=draw(st.sampled_from(list(KEY_HASHES))),
        virtual_node_hash=draw(st.sampled_from(list(VIRTUAL_NODE_HASHES))),
        num_slots=num_slots,
        num_virtual_nodes=draw(st.integers(1, min(num_slots, 6))),
        probing=draw(st.sampled_from(PROBINGS)),
    )


configs = small_configs() | st.builds(
    replace, st.sampled_from(list(PRESETS.values())), probing=st.sampled_from(PROBINGS)
)
histories = st.lists(st.integers(1, 9), max_size=16)
keys = st.lists(st.integers(-(2**70), 2**70) | st.integers(100_000, 999_999), max_size=30)


def name_of(node_id: int) -> str:
    return f"Server{node_id}"


def toggle(ring: SlotRing, node_id: int) -> None:
    """One step of a history."""
    node = name_of(node_id)
    if node in ring.nodes:
        ring.remove(node)
    else:
        with suppress(RingFull):
            ring.add(node, node_id=node_id)


def ring_after(config: RingConfig, history: list[int]) -> SlotRing:
    ring = SlotRing(config)
    for node_id in history:
        toggle(ring, node_id)
    return ring


def first_refused(config: RingConfig, history: list[int]) -> int:
    """Id of the node that does not fit when 10, 11, 12 … are added after the history."""
    ring = ring_after(config, history)
    for node_id in count(10):
        try:
            ring.add(name_of(node_id), node_id=node_id)
        except RingFull:
            break
    return node_id


def owner_names(ring: SlotRing, live: Collection[str] | None = None) -> list[str | None]:
    """Node of every slot, None for nobody."""
    names = (*ring.nodes, None)  # so that -1 is None
    return [names[index] for index in ring.owners(live).tolist()]


class PlainRing:
    """The same ring as plainly as it can be said: one list, one loop per question."""

    def __init__(self, config: RingConfig) -> None:
        self.config = config
        self.node_at: list[str | None] = [None] * config.num_slots

    def toggle(self, node_id: int) -> None:
        node = name_of(node_id)
        if node in self.node_at:
            self.node_at = [None if taken_by == node else taken_by for taken_by in self.node_at]
            return
        node_at = self.node_at.copy()
        for j in range(self.config.num_virtual_nodes):
            wanted = VIRTUAL_NODE_HASHES[self.config.virtual_node_hash](node_id, node, j)
            for d in range(2 * self.config.num_slots):
                steps = {
                    "linear": d,
                    "quadratic": d * (d + 1) // 2,
                    "double": d * (splitmix64(wanted) | 1),
                }
                slot = (wanted + steps[self.config.probing]) % self.config.num_slots
                if node_at[slot] is None:
                    node_at[slot] = node
                    break
            else:
                return
        self.node_at = node_at

    def preference(self, key: int) -> list[str]:
        slot = KEY_HASHES[self.config.key_hash](key) % self.config.num_slots
        clockwise = self.node_at[slot:] + self.node_at[:slot]
        return list(dict.fromkeys(node for node in clockwise if node is not None))


@laws
@given(configs, histories, keys)
def test_agrees_with_the_plain_ring(
    config: RingConfig, history: list[int], keys: list[int]
) -> None:
    """Fast or plain, every slot and every answer is the same."""
    ring, plain = ring_after(config, history), PlainRing(config)
    for node_id in history:
        plain.toggle(node_id)
    taken = {slot: node for node in ring.nodes for slot in ring.slots_of(node)}
    assert {s: node for s, node in enumerate(plain.node_at) if node is not None} == taken
    assume(ring.nodes)
    for key in keys:
        assert plain.preference(key) == list(ring.preference(key))


@laws
@given(configs, histories, keys)
def test_lookup_gives_a_live_node(config: RingConfig, history: list[int], keys: list[int]) -> None:
    """However the ring came about, a key's node is on it."""
    ring = ring_after(config, history)
    assume(ring.nodes)
    assert {ring.lookup(key) for key in keys} <= set(ring.nodes)


@laws
@given(configs, histories, st.integers(1, 9))
def test_adding_moves_keys_only_to_the_new_node(
    config: RingConfig, history: list[int], node_id: int
) -> None:
    """A slot has the owner it had, or the new node."""
    ring, node = ring_after(config, history), name_of(node_id)
    assume(node not in ring.nodes)
    before = owner_names(ring)
    toggle(ring, node_id)
    after = owner_names(ring)
    assert {node} >= {new for old, new in zip(before, after, strict=True) if old != new}


@laws
@given(configs, histories, st.integers(0, 8))
def test_removing_moves_only_the_keys_of_the_removed_node(
    config: RingConfig, history: list[int], position: int
) -> None:
    """A slot has the owner it had, unless that was the removed node; then it has another."""
    ring = ring_after(config, history)
    assume(ring.nodes)
    node = ring.nodes[position % len(ring.nodes)]
    before = owner_names(ring)
    ring.remove(node)
    after = owner_names(ring)
    assert [owner == node for owner in before] == [
        old != new for old, new in zip(before, after, strict=True)
    ]


@laws
@given(configs, histories)
def test_owners_agree_with_lookup_for_each_slot(config: RingConfig, history: list[int]) -> None:
    """H has no part in the placement; with the identity, key and slot are the same number."""
    ring = ring_after(replace(config, key_hash="identity"), history)
    assume(ring.nodes)
    assert [ring.lookup(slot) for slot in range(config.num_slots)] == owner_names(ring)


@laws
@given(configs, histories, st.sets(st.integers(1, 9)))
def test_owners_among_live_are_those_of_the_ring_without_the_others(
    config: RingConfig, history: list[int], live_ids: set[int]
) -> None:
    """To be dead and to be removed gives the same table."""
    ring, live = ring_after(config, history), {name_of(node_id) for node_id in live_ids}
    among_live = owner_names(ring, live)
    for node in set(ring.nodes) - live:
        ring.remove(node)
    assert owner_names(ring) == among_live


@laws
@given(configs, histories, keys)
def test_preference_list_has_each_node_once_and_begins_with_lookup(
    config: RingConfig, history: list[int], keys: list[int]
) -> None:
    """And with a count it is the beginning of the whole list."""
    ring = ring_after(config, history)
    assume(ring.nodes)
    for key in keys:
        whole = ring.preference(key)
        assert sorted(ring.nodes) == sorted(whole)
        assert ring.lookup(key) == whole[0]
        assert whole[:2] == ring.preference(key, 2)


@laws
@given(configs, histories, st.integers(100_000, 999_999))
def test_second_preference_serves_when_the_first_does_not(
    config: RingConfig, history: list[int], key: int
) -> None:
    """Whether the first is only not live, or removed."""
    ring = ring_after(config, history)
    assume(len(ring.nodes) >= 2)
    first, second = ring.preference(key, 2)
    without_first = owner_names(ring, set(ring.nodes) - {first})
    assert second == without_first[ring.key_slot(key)]
    ring.remove(first)
    assert second == ring.lookup(key)


@laws
@given(configs, histories, keys)
def test_explanation_agrees_with_lookup(
    config: RingConfig, history: list[int], keys: list[int]
) -> None:
    """Its steps lead from the hash to a slot of the node, and past free slots only."""
    ring = ring_after(config, history)
    assume(ring.nodes)
    taken = {slot for node in ring.nodes for slot in ring.slots_of(node)}
    for key in keys:
        told = ring.explain(key)
        assert ring.key_slot(key) == told.hash % config.num_slots == told.slot
        passed = [(told.slot + probe) % config.num_slots for probe in range(told.probes)]
        assert taken.isdisjoint(passed)
        assert (told.slot + told.probes) % config.num_slots == told.taken_slot
        assert told.taken_slot in ring.slots_of(told.node)
        assert ring.lookup(key) == told.node
        assert ring.preference(key) == told.preference_list


@laws
@given(small_configs(), histories)
def test_full_ring_raises_and_is_unchanged(config: RingConfig, history: list[int]) -> None:
    """A refused node leaves no trace, and the capacity is in the message."""
    config = replace(config, key_hash="identity")
    ring, one_too_many = ring_after(config, history), first_refused(config, history)
    for node_id in range(10, one_too_many):
        ring.add(name_of(node_id), node_id=node_id)
    # Three slots by triangular steps may have no place for the very first node.
    assume(ring.nodes)
    before = ring.nodes, ring.snapshot(), owner_names(ring)
    with pytest.raises(RingFull, match=f"of at most {config.capacity} nodes"):
        ring.add(name_of(one_too_many), one_too_many)
    assert before == (ring.nodes, ring.snapshot(), owner_names(ring))
    assert owner_names(ring) == [ring.lookup(slot) for slot in range(config.num_slots)]


@laws
@given(small_configs(), histories)
def test_ring_is_full_only_at_capacity(config: RingConfig, history: list[int]) -> None:
    """Linear probing finds every free slot, quadratic probing does when M is a power of two."""
    assume(config.probing == "linear" or config.num_slots.bit_count() == 1)
    ring = ring_after(config, history)
    for node_id in range(10, 10 + config.capacity - len(ring.nodes)):
        ring.add(name_of(node_id), node_id=node_id)
    assert config.capacity == len(ring.nodes)


@laws
@given(configs, histories, histories)
def test_snapshot_through_json_restores_placement_and_future(
    config: RingConfig, history: list[int], future: list[int]
) -> None:
    """The restored ring is the same ring, and stays it whatever happens next."""
    ring = ring_after(config, history)
    restored = SlotRing.restore(config, json.loads(json.dumps(ring.snapshot())))
    for node_id in (None, *future):
        if node_id is not None:
            toggle(ring, node_id)
            toggle(restored, node_id)
        assert list(ring.snapshot().items()) == list(restored.snapshot().items())
        assert ring.nodes == restored.nodes
    assert owner_names(ring) == owner_names(restored)
