"""Measures of a placement: how even it is, and how much of it moves."""

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Sequence
from statistics import fmean, pstdev

from ring.placement import Placement


def counts(placement: Placement, keys: Iterable[int]) -> dict[str, int]:
    """Number of keys per node, in order of insertion, 0 included. EmptyRing if there is no node."""
    found = Counter(map(placement.lookup, keys))
    return {node: found[node] for node in placement.nodes}


def peak_to_mean(loads: Collection[float]) -> float:
    """Largest load over the mean load: 1.0 is even, len(loads) is all on one node.

    ValueError if there is no load at all.
    """
    mean = _positive_mean(loads)
    return max(loads) / mean


def coefficient_of_variation(loads: Collection[float]) -> float:
    """Standard deviation of the loads (of the population) over their mean: 0.0 is even.

    ValueError if there is no load at all.
    """
    mean = _positive_mean(loads)
    return pstdev(loads) / mean


def relocated_fraction(before: Sequence[Hashable], after: Sequence[Hashable]) -> float:
    """Share of the keys, in 0..1, whose node changed; entry i of both is the node of key i.

    ValueError if the lengths differ or are 0. Least possible when the n-th node joins evenly: 1/n.
    """
    if len(before) != len(after) or not before:
        raise ValueError(
            f"before and after must be of one length >= 1, got {len(before)} and {len(after)}"
        )
    moved = sum(old != new for old, new in zip(before, after, strict=True))
    return moved / len(before)


def _positive_mean(loads: Collection[float]) -> float:
    if not sum(loads) > 0:
        raise ValueError(f"loads must have a sum > 0, got {list(loads)}")
    return fmean(loads)
