"""Algorithms by name: what asdict takes apart is put together again."""

import json
from dataclasses import asdict

import pytest

from ring import PRESETS, InvalidConfig, TableConfig, config_from, make_ring, restore_ring

CONFIGS = [*PRESETS.values(), TableConfig(key_hash="crc32", table=("A", "B", "A"))]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.key_hash)
def test_a_configuration_comes_back_from_json(config: TableConfig) -> None:
    """Equal to what it was."""
    assert config == config_from(json.loads(json.dumps(asdict(config))))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.key_hash)
def test_a_ring_comes_back_from_its_snapshot(config: TableConfig) -> None:
    """Of the class that the configuration asks for."""
    ring = make_ring(config)
    ring.add("B", node_id=2)
    ring.add("A", node_id=1)
    twin = restore_ring(config, json.loads(json.dumps(ring.snapshot())))
    assert type(ring) is type(twin)
    assert list(ring.snapshot().items()) == list(twin.snapshot().items())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "algorithm must be one of slots, table, got None"),
        ({"algorithm": ["slots"]}, r"algorithm must be one of slots, table, got \['slots'\]"),
        ({"algorithm": "table", "key_hash": "crc32"}, "missing 1 required .* 'table'"),
        ({"algorithm": "table", "colour": 1}, "unexpected keyword argument 'colour'"),
    ],
)
def test_what_is_no_configuration(fields: dict[str, object], message: str) -> None:
    """It is said what is missing or too much."""
    with pytest.raises(InvalidConfig, match=message):
        config_from(fields)
