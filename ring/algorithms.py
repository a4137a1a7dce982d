"""Algorithms by name: placements from plain data, and circles from their configurations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

from ring.anchor import AnchorHash
from ring.bounded import BoundedLoads
from ring.config import AnyConfig, RingConfig, TableConfig
from ring.errors import InvalidConfig, InvalidSnapshot
from ring.haproxy import HAProxyRing
from ring.jump import JumpHash
from ring.ketama import KetamaRing
from ring.maglev import Maglev
from ring.modulo import Modulo
from ring.multiprobe import MultiProbe
from ring.nginx import NginxRing
from ring.placement import Placement
from ring.rendezvous import Rendezvous
from ring.slots import SlotRing
from ring.table import TableRing

ALGORITHMS: Mapping[str, type[Placement]] = MappingProxyType(
    {
        each.algorithm: each
        for each in (
            SlotRing,
            TableRing,
            KetamaRing,
            NginxRing,
            HAProxyRing,
            Rendezvous,
            JumpHash,
            Maglev,
            MultiProbe,
            AnchorHash,
            Modulo,
            BoundedLoads,
        )
    }
)


def from_dict(data: Mapping[str, Any]) -> Placement:
    """The placement that its `to_dict` took apart, of whatever algorithm. InvalidSnapshot."""
    name = data.get("algorithm")
    if name not in tuple(ALGORITHMS):  # a tuple, because JSON's lists cannot be hashed
        raise InvalidSnapshot(f"algorithm must be one of {', '.join(ALGORITHMS)}, got {name!r}")
    return ALGORITHMS[str(name)].from_dict(data)


# The circles, which the load balancer runs

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
