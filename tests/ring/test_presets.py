"""The presets are those of the contract."""

from dataclasses import FrozenInstanceError

import pytest

from ring.presets import PRESETS


def test_presets_are_those_of_the_contract() -> None:
    """Name, H, Φ, M, K, probing."""
    rows = [
        (
            name,
            config.key_hash,
            config.virtual_node_hash,
            config.num_slots,
            config.num_virtual_nodes,
            config.probing,
        )
        for name, config in PRESETS.items()
    ]
    assert [
        ("assignment", "assignment", "assignment", 512, 9, "linear"),
        ("seed-library", "seed-library", "seed-library", 512, 9, "linear"),
        ("seed-deployed", "knuth", "sha256", 2048, 300, "linear"),
        ("default", "splitmix64", "sha256", 65_536, 160, "linear"),
    ] == rows


def test_capacity_is_the_number_of_whole_nodes() -> None:
    """2048 slots hold 6 nodes of 300 virtual nodes, not 6.8."""
    assert {"assignment": 56, "seed-library": 56, "seed-deployed": 6, "default": 409} == {
        name: config.capacity for name, config in PRESETS.items()
    }


def test_config_and_presets_cannot_be_changed() -> None:
    """A configuration is a value: a ring can rely on it."""
    with pytest.raises(FrozenInstanceError):
        PRESETS["default"].num_slots = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        PRESETS["mine"] = PRESETS["default"]  # type: ignore[index]
