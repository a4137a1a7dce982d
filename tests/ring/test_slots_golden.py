"""SlotRing against counts that were not made by it, and against a bound that was worked out."""

import json
from math import sqrt
from pathlib import Path
from random import Random

import pytest

from ring import metrics
from ring.presets import PRESETS
from ring.slots import SlotRing

TABLES = json.loads(Path(__file__).with_name("golden").joinpath("counts.json").read_text())[
    "tables"
]
ROWS = [
    pytest.param(preset, int(num_nodes), expected, id=f"{preset}-{num_nodes}")
    for table in TABLES
    for preset, row in table["counts"].items()
    for num_nodes, expected in row.items()
]


def keys_of_contract() -> list[int]:
    """The 10,000 request ids that the contract's table was made with."""
    random = Random(42)
    return [random.randint(100_000, 999_999) for _ in range(10_000)]


def ring_of(preset: str, num_nodes: int) -> SlotRing:
    """Server1 .. ServerN, ids 1 .. N, added in this order."""
    ring = SlotRing(PRESETS[preset])
    for node_id in range(1, num_nodes + 1):
        ring.add(f"Server{node_id}", node_id=node_id)
    return ring


def test_golden_counts_cover_every_preset() -> None:
    """A preset without reference counts is not done."""
    assert set(PRESETS) == {preset for table in TABLES for preset in table["counts"]}


@pytest.mark.parametrize(("preset", "num_nodes", "expected"), ROWS)
def test_counts_are_the_golden_ones(preset: str, num_nodes: int, expected: list[int]) -> None:
    """To the digit, node for node."""
    found = metrics.counts(ring_of(preset, num_nodes), keys_of_contract())
    assert expected == list(found.values())


@pytest.mark.parametrize("num_nodes", range(3, 21))
def test_default_is_even_within_three_standard_deviations(num_nodes: int) -> None:
    """A share is a sum of K arcs of nearly exponential length: its deviation is 1/√K of the mean.

    Three of them bound the peak: 1.237 for K = 160. The counts may add the noise of the keys.
    """
    num_virtual_nodes = PRESETS["default"].num_virtual_nodes
    loads = metrics.counts(ring_of("default", num_nodes), keys_of_contract()).values()
    assert 1.0 < metrics.peak_to_mean(loads) < 1 + 3 / sqrt(num_virtual_nodes)
    assert metrics.coefficient_of_variation(loads) < 1.5 / sqrt(num_virtual_nodes)
