"""What a ring will do with request ids, before any has come: each replica's share, and what moves.

Worked out for every ninth of the six-digit ids, 100,000 of them, in bulk. Nine is odd, so that they
meet all remainders modulo a power of two alike.
"""

from __future__ import annotations

import numpy as np

from ring import KEY_HASHES, BoundedLoads, Circle, Placement, metrics

IDS = 100_000 + 9 * np.arange(100_000)


def shares(ring: Placement) -> dict[str, float]:
    """Node -> share of the ids that is its own, in 0..1; all 0 if there is no node."""
    if not ring.nodes:
        return {}
    counts = np.bincount(ring.lookup_many(IDS), minlength=len(ring.nodes))
    return dict(zip(ring.nodes, (counts / len(IDS)).tolist(), strict=True))


def place(ring: Placement, key: int) -> float:
    """Where a request lands, in 0..1: its slot's place on the circle, and where there are no slots
    that of its hash by splitmix64."""
    inner = ring.placement if isinstance(ring, BoundedLoads) else ring
    if isinstance(inner, Circle):
        num_slots: int = inner.config.num_slots
        return inner.key_slot(key) / num_slots
    return KEY_HASHES["splitmix64"](key) / 2.0**64


def moved(before: Placement, after: Placement) -> float:
    """Share of the ids, in 0..1, that have another replica in `after`. All of them if one of the
    two has no node, none if neither has."""
    if before.nodes and after.nodes:
        return metrics.relocated_between(before, after, IDS)
    return float(bool(before.nodes or after.nodes))
