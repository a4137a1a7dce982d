"""Algorithms by name."""

from typing import Any

import pytest

from ring import ALGORITHMS, InvalidConfig, InvalidSnapshot, Maglev, Rendezvous, from_dict, make

NEEDED: dict[str, dict[str, Any]] = {
    "table": {"key_hash": "crc32", "table": ["A", "B", "A"]},
    "bounded": {"placement": Rendezvous(), "load_factor": 1.5},
}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_algorithm_is_made_by_its_name(algorithm: str) -> None:
    """Without nodes, and with the parameters that it names."""
    made = make(algorithm, **NEEDED.get(algorithm, {}))
    assert type(made) is ALGORITHMS[algorithm]
    assert () == made.nodes
    assert set(made.parameter_names) == made.parameters().keys()


def test_parameters_count() -> None:
    """And are what was given."""
    made = make("maglev", table_size=251, hash="crc32")
    assert isinstance(made, Maglev)
    assert {"table_size": 251, "hash": "crc32"} == made.parameters()


@pytest.mark.parametrize(
    ("algorithm", "parameters", "message"),
    [
        ("roulette", {}, "algorithm must be one of slots, table, .*, got 'roulette'"),
        ("jump", {"num_slots": 5}, "jump accepts hash, got num_slots"),
        ("ketama", {"hash": "crc32"}, "ketama accepts nothing, got hash"),
        ("jump", {"hash": "md4"}, "hash must be one of .*, got 'md4'"),
        ("maglev", {"table_size": 6}, "table_size must be prime, got 6"),
        ("table", {"key_hash": "crc32"}, "no table by .*missing 1 required .* 'table'"),
        ("slots", {"num_slots": 0}, "num_slots must be an integer in 1..1048576, got 0"),
    ],
)
def test_what_cannot_be_made(algorithm: str, parameters: dict[str, Any], message: str) -> None:
    """It is said what is unknown, missing or out of range."""
    with pytest.raises(InvalidConfig, match=message):
        make(algorithm, **parameters)


@pytest.mark.parametrize("name", [None, "roulette", ["slots"]])
def test_data_of_no_algorithm(name: object) -> None:
    """The names that there are."""
    with pytest.raises(InvalidSnapshot, match="algorithm must be one of slots, table"):
        from_dict({"algorithm": name})
