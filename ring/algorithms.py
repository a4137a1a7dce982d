"""Algorithms by name: a configuration from plain data, and the ring that it describes."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from ring.config import AnyConfig, RingConfig, TableConfig
from ring.errors import InvalidConfig
from ring.slots import SlotRing
from ring.table import TableRing

Ring: TypeAlias = SlotRing | TableRing

_CONFIGS: Mapping[str, type[AnyConfig]] = {"slots": RingConfig, "table": TableConfig}


def config_from(fields: Mapping[str, Any]) -> AnyConfig:
    """The configuration that `dataclasses.asdict` took apart, say for JSON. InvalidConfig names
    what is missing, unknown or out of range."""
    algorithm = fields.get("algorithm")
    if algorithm not in tuple(_CONFIGS):  # a tuple, because JSON's lists cannot be hashed
        raise InvalidConfig(f"algorithm must be one of {', '.join(_CONFIGS)}, got {algorithm!r}")
    try:
        return _CONFIGS[algorithm](**fields)
    except TypeError as error:
        raise InvalidConfig(f"not a configuration of {algorithm!r}: {error}") from error


def make_ring(config: AnyConfig) -> Ring:
    """A ring without nodes."""
    return TableRing(config) if isinstance(config, TableConfig) else SlotRing(config)


def restore_ring(config: AnyConfig, snapshot: Mapping[str, tuple[int, Sequence[int]]]) -> Ring:
    """The ring that made the snapshot. InvalidSnapshot."""
    if isinstance(config, TableConfig):
        return TableRing.restore(config, snapshot)
    return SlotRing.restore(config, snapshot)
