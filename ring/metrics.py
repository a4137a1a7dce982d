"""Measures of a placement: how even it is, and how much of it moves."""

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Sequence
from statistics import fmean, pstdev

import numpy as np

from ring.keys import Key, Keys
from ring.placement import Placement


def counts(placement: Placement, keys: Iterable[Key]) -> dict[str, int]:
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


def jain_index(loads: Collection[float]) -> float:
    """(Σ x)² / (n · Σ x²): 1.0 is even, 1/n is all on one node; n · index nodes would do as well.

    ValueError if there is no load at all. Source: Jain, Chiu, Hawe, DEC-TR-301, 1984.
    """
    mean = _positive_mean(loads)
    return mean * mean / fmean(load * load for load in loads)


def chi_squared(loads: Sequence[float], shares: Sequence[float] | None = None) -> float:
    """Σ (x - e)² / e, e the total by `shares` (relative, positive; None: equal). About n - 1 if
    keys fall by chance, far more if somebody is favoured, far less if a rule deals them out.

    ValueError if there is no load at all, or a share is missing or not positive.
    """
    total = _positive_mean(loads) * len(loads)
    shares = [1.0] * len(loads) if shares is None else shares
    if len(shares) != len(loads) or not all(share > 0 for share in shares):
        raise ValueError(f"shares must be {len(loads)} positive numbers, got {list(shares)}")
    whole = sum(shares)
    expected = [total * share / whole for share in shares]
    return sum((x - e) ** 2 / e for x, e in zip(loads, expected, strict=True))


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


def relocated_between(before: Placement, after: Placement, keys: Keys) -> float:
    """Share of the keys, in 0..1, that have another node in `after`. In bulk. EmptyRing; ValueError
    if there are no keys."""
    if not len(keys):
        raise ValueError("keys must be one at least, got none")
    index_of = {node: index for index, node in enumerate(after.nodes)}
    here = np.array([index_of.get(node, -1) for node in before.nodes])
    moved = here[before.lookup_many(keys)] != after.lookup_many(keys)
    return float(moved.mean())


def _positive_mean(loads: Collection[float]) -> float:
    if not sum(loads) > 0:
        raise ValueError(f"loads must have a sum > 0, got {list(loads)}")
    return fmean(loads)
