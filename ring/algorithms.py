"""Algorithms by name: placements from their parameters, and from plain data."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ring.anchor import AnchorHash
from ring.bounded import BoundedLoads
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


def make(algorithm: str, **parameters: Any) -> Placement:
    """A placement without nodes. InvalidConfig names the algorithm or the parameter that is
    unknown, missing or out of range."""
    if algorithm not in tuple(ALGORITHMS):
        raise InvalidConfig(f"algorithm must be one of {', '.join(ALGORITHMS)}, got {algorithm!r}")
    kind = ALGORITHMS[algorithm]
    if unknown := parameters.keys() - set(kind.parameter_names):
        accepted = ", ".join(kind.parameter_names) or "nothing"
        raise InvalidConfig(f"{algorithm} accepts {accepted}, got {', '.join(sorted(unknown))}")
    try:
        return kind(**parameters)
    except TypeError as error:
        raise InvalidConfig(f"no {algorithm} by {parameters}: {error}") from error
