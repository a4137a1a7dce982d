"""A configuration refuses what no ring can be made of."""

from dataclasses import replace
from typing import Any

import pytest

from ring.config import RingConfig
from ring.errors import InvalidConfig, RingError
from ring.hashes import KEY_HASHES, VIRTUAL_NODE_HASHES
from ring.presets import PRESETS


@pytest.mark.parametrize(
    ("field", "value", "accepted"),
    [
        ("algorithm", "ketama", "slots"),
        ("key_hash", "rot13", ", ".join(KEY_HASHES)),
        ("key_hash", ["sha256"], ", ".join(KEY_HASHES)),
        ("virtual_node_hash", "knuth", ", ".join(VIRTUAL_NODE_HASHES)),
        ("num_slots", 0, "1..1048576"),
        ("num_slots", 2**20 + 1, "1..1048576"),
        ("num_slots", 512.0, "1..1048576"),
        ("num_slots", "512", "1..1048576"),
        ("num_slots", True, "1..1048576"),
        ("num_virtual_nodes", 0, "1..512"),
        ("num_virtual_nodes", 513, "1..512"),
        ("num_virtual_nodes", None, "1..512"),
        ("probing", "cubic", "linear, quadratic, double"),
    ],
)
def test_value_out_of_range_is_named_with_its_range(field: str, value: Any, accepted: str) -> None:
    """The message of InvalidConfig tells the field, what is accepted, and what came."""
    with pytest.raises(InvalidConfig) as caught:
        replace(PRESETS["assignment"], **{field: value})
    assert str(caught.value).startswith(field)
    assert str(caught.value).endswith(f"{accepted}, got {value!r}")
    assert isinstance(caught.value, RingError | ValueError)


@pytest.mark.parametrize(("num_slots", "num_virtual_nodes"), [(1, 1), (512, 512), (2**20, 1)])
def test_the_ends_of_the_ranges_are_accepted(num_slots: int, num_virtual_nodes: int) -> None:
    """Ranges include both their ends."""
    config = replace(
        PRESETS["assignment"], num_slots=num_slots, num_virtual_nodes=num_virtual_nodes
    )
    assert num_slots // num_virtual_nodes == config.capacity


def test_equal_fields_make_equal_configs() -> None:
    """Whether a change of configuration changes anything is one comparison."""
    config = RingConfig(
        key_hash="assignment", virtual_node_hash="assignment", num_slots=512, num_virtual_nodes=9
    )
    assert PRESETS["assignment"] == config
