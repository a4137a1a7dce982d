"""The measures, on numbers small enough to do in the head."""

from collections.abc import Callable, Collection

import pytest

from ring import metrics
from ring.config import RingConfig
from ring.rendezvous import Rendezvous
from ring.slots import SlotRing


def test_counts_name_every_node_in_order() -> None:
    """A node that gets no key is counted with 0."""
    ring = SlotRing(
        RingConfig(
            key_hash="identity", virtual_node_hash="assignment", num_slots=8, num_virtual_nodes=2
        )
    )
    ring.add("B", node_id=2)
    ring.add("A", node_id=1)
    assert [("B", 3), ("A", 0)] == list(metrics.counts(ring, [7, 0, 8]).items())


def test_peak_to_mean_of_uneven_loads() -> None:
    """The fullest of three with 6 of 9 keys has twice the mean."""
    assert 2.0 == metrics.peak_to_mean([6, 0, 3])


def test_coefficient_of_variation_of_uneven_loads() -> None:
    """2 and 4 are 1 off their mean 3."""
    assert pytest.approx(1 / 3) == metrics.coefficient_of_variation([2, 4])


def test_even_loads() -> None:
    """Equal loads are even by both measures; values of a dict do."""
    loads = {"A": 5, "B": 5}.values()
    assert (1.0, 0.0) == (metrics.peak_to_mean(loads), metrics.coefficient_of_variation(loads))


@pytest.mark.parametrize(
    "measure",
    [
        metrics.peak_to_mean,
        metrics.coefficient_of_variation,
        metrics.jain_index,
        metrics.chi_squared,
    ],
)
@pytest.mark.parametrize("loads", [[], [0, 0]])
def test_no_load_has_no_evenness(
    measure: Callable[[Collection[float]], float], loads: list[float]
) -> None:
    """A mean of 0 is refused, not divided by."""
    with pytest.raises(ValueError, match="loads must have a sum > 0"):
        measure(loads)


def test_relocated_fraction_counts_what_moved() -> None:
    """One key of four has another node."""
    assert 0.25 == metrics.relocated_fraction(["A", "A", "B", "B"], ["A", "C", "B", "B"])


@pytest.mark.parametrize(("before", "after"), [([], []), (["A"], ["A", "B"])])
def test_relocated_fraction_wants_the_same_keys(before: list[str], after: list[str]) -> None:
    """Different numbers of keys cannot be compared."""
    with pytest.raises(ValueError, match=f"got {len(before)} and {len(after)}"):
        metrics.relocated_fraction(before, after)


def test_jain_index() -> None:
    """All on one of four is a quarter; 1 and 3 are 16 / (2 · 10)."""
    assert (0.25, 0.8, 1.0) == tuple(map(metrics.jain_index, ([8, 0, 0, 0], [1, 3], [2, 2])))


def test_chi_squared() -> None:
    """12 and 8 where 10 and 10 were due: 4/10 twice; by shares 3 to 2 they are as they should."""
    assert pytest.approx(0.8) == metrics.chi_squared([12, 8])
    assert pytest.approx(0.0) == metrics.chi_squared([12, 8], [3, 2])
    with pytest.raises(ValueError, match="shares must be 2 positive numbers"):
        metrics.chi_squared([12, 8], [3, 0])


def test_relocated_between_placements() -> None:
    """The share that a newcomer takes, and all of it when everybody else is gone."""
    before, after, keys = Rendezvous(), Rendezvous(), list(range(4000))
    for node in ("a", "b", "c"):
        before.add(node)
        after.add(node)
    after.add("d")
    share = metrics.counts(after, keys)["d"] / 4000
    assert share == metrics.relocated_between(before, after, keys)
    other = Rendezvous()
    other.add("x")
    assert 1.0 == metrics.relocated_between(before, other, keys)
    with pytest.raises(ValueError, match="keys must be one at least"):
        metrics.relocated_between(before, after, [])
