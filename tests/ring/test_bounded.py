"""Bounded loads: nobody above ⌈c · mean⌉, and keys at home as long as there is room."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ring import BoundedLoads, InvalidConfig, KetamaRing, Modulo, NodeUnknown, Rendezvous, SlotRing
from ring.bounded import capacity_of, first_below


def bounded(num_nodes: int, load_factor: float = 1.25, weight: int = 1) -> BoundedLoads:
    placement = BoundedLoads(Rendezvous(), load_factor)
    for number in range(1, num_nodes + 1):
        placement.add(f"Server{number}", weight if number == 1 else 1)
    return placement


def test_a_key_goes_home_while_there_is_room() -> None:
    """The first key of an idle placement always, c · 1 / 3 rounded up being 1; the second of the
    same node goes on, for it has one, and ⌈1.25 · 2 / 3⌉ is 1."""
    placement = bounded(3)
    home, second, _ = placement.placement.preference(7)
    assert [home, second] == [placement.acquire(7), placement.acquire(7)]
    placement.release(home)
    assert home == placement.lookup(7)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=120),
    st.sampled_from([1.01, 1.25, 2.0]),
)
def test_nobody_is_above_its_bound(history: list[tuple[bool, int]], load_factor: float) -> None:
    """At no time, whatever comes and goes: at most ⌈c · m / n⌉ after the m-th key."""
    placement, out = bounded(4, load_factor), []
    for comes, number in history:
        if comes or not out:
            node = placement.acquire(number)
            out.append(node)
            bound = capacity_of(load_factor, len(out), 1, 4)
            assert placement.loads[node] <= bound
        else:
            placement.release(out.pop(number % len(out)))
    assert len(out) == sum(placement.loads.values())


def test_a_hot_key_is_shared_out() -> None:
    """A thousand requests for one key at four nodes: none gets more than ⌈1.25 · 250⌉."""
    placement = bounded(4)
    for _ in range(1000):
        placement.acquire("hot")
    assert 313 == max(placement.loads.values())


def test_weights_bound_in_proportion() -> None:
    """Weight 3 of 6 may have half of all, by the factor."""
    placement = bounded(4, 1.25, weight=3)
    assert (1, 1) == (placement.capacity("Server1"), placement.capacity("Server2"))
    for number in range(600):
        placement.acquire(number)
    assert placement.loads["Server1"] <= 375
    assert placement.capacity("Server1") == capacity_of(1.25, 601, 3, 6)


def test_capacity_is_exact() -> None:
    """No float decides whether a whole number is reached: 1.1 is 11/10, as it is written."""
    assert 5 == capacity_of(1.25, 12, 1, 3)
    assert 6 == capacity_of(1.25, 13, 1, 3)
    assert 11 == capacity_of(1.1, 10, 1, 1)
    assert 21 == capacity_of(1.05, 60, 1, 3)


def test_first_below() -> None:
    """The first with room, and nobody if all are full."""
    loads = {"a": 2, "b": 1, "c": 0}
    assert "b" == first_below("abc", loads.__getitem__, 2)
    assert first_below("abc", loads.__getitem__, 0) is None


@pytest.mark.parametrize("make", [SlotRing, KetamaRing, Modulo])
def test_it_bounds_any_placement(make: type[SlotRing]) -> None:
    """What was on it before, too; the given one stays as it was."""
    inner = make()
    for node in ("a", "b"):
        inner.add(node)
    placement = BoundedLoads(inner)
    placement.add("c")
    for _ in range(300):
        placement.acquire("hot")
    assert ("a", "b") == inner.nodes
    assert 125 == max(placement.loads.values())


def test_what_is_released_must_have_been_acquired() -> None:
    """Else loads would say too little."""
    placement = bounded(2)
    with pytest.raises(ValueError, match="node 'Server1' has no key to release"):
        placement.release("Server1")
    with pytest.raises(NodeUnknown, match="'X'"):
        placement.release("X")


@pytest.mark.parametrize("load_factor", [1, 0.9, 1001, "2", None, True, float("nan")])
def test_bad_load_factors(load_factor: float) -> None:
    """The value is named, and what is accepted."""
    with pytest.raises(InvalidConfig, match=r"load_factor must be a number above 1, at most 1000"):
        BoundedLoads(Rendezvous(), load_factor)
