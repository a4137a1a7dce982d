"""Rings as settings and the admin API speak of them: chosen by names and numbers, and described."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ring import (
    ALGORITHMS,
    PRESETS,
    BoundedLoads,
    InvalidConfig,
    Placement,
    SlotRing,
    TableRing,
    make,
)

# What we call otherwise than the ring library does.
_THEIRS = MappingProxyType({"slots": "num_slots", "virtual_nodes": "num_virtual_nodes"})
_OURS = {theirs: ours for ours, theirs in _THEIRS.items()}
# Bounds are a property that any of the others can have.
NAMES = tuple(name for name in ALGORITHMS if name != BoundedLoads.algorithm)
# Of every ring something is said about these, for they were there first.
_ALWAYS = ("slots", "virtual_nodes", "key_hash", "virtual_node_hash", "probing")


def choose(given: Mapping[str, Any], present: Placement | None = None) -> Placement:
    """An empty ring. It begins with a `preset`, with the defaults of another `algorithm`, with a
    `table`, or else with the `present` ring; the rest of `given` changes its parameters. `hash` is
    H of a request id, whichever parameter that is; `load_factor` None takes a bound away.

    InvalidConfig names the value and what is accepted.
    """
    changes = {_THEIRS.get(name, name): value for name, value in given.items()}
    preset, algorithm = changes.pop("preset", None), changes.pop("algorithm", None)
    is_bounded = isinstance(present, BoundedLoads)
    load_factor = present.load_factor if is_bounded else None  # type: ignore[union-attr]
    begins_anew = bool(preset or algorithm or "table" in changes)
    load_factor = changes.pop("load_factor", None if begins_anew else load_factor)
    inner = present.placement if isinstance(present, BoundedLoads) else present
    algorithm, parameters = _beginning(preset, algorithm, "table" in changes, inner)
    if "hash" in changes:
        names = ALGORITHMS[algorithm].parameter_names
        changes["key_hash" if "key_hash" in names else "hash"] = changes.pop("hash")
    try:
        ring = make(algorithm, **parameters | changes)
        return ring if load_factor is None else BoundedLoads(ring, load_factor)
    except InvalidConfig as error:
        raise InvalidConfig(str(error).replace("num_", "")) from error


def _beginning(
    preset: str | None, algorithm: str | None, has_table: bool, present: Placement | None
) -> tuple[str, dict[str, Any]]:
    """Algorithm and parameters, before anything is changed."""
    implied = SlotRing.algorithm if preset else TableRing.algorithm if has_table else None
    if preset is not None and preset not in PRESETS:
        raise InvalidConfig(f"preset must be one of {', '.join(PRESETS)}, got {preset!r}")
    if algorithm is not None and algorithm not in NAMES:
        raise InvalidConfig(f"algorithm must be one of {', '.join(NAMES)}, got {algorithm!r}")
    if implied is not None and algorithm not in (None, implied):
        what = "a preset" if preset else "a table"
        raise InvalidConfig(f"with {what} the algorithm must be {implied}, got {algorithm!r}")
    if preset:
        return implied or "", SlotRing(PRESETS[preset]).parameters()
    if present is None:
        return implied or algorithm or SlotRing.algorithm, {}
    if (chosen := implied or algorithm or present.algorithm) == present.algorithm:
        return chosen, present.parameters()
    if chosen == TableRing.algorithm:
        if not has_table:
            raise InvalidConfig("algorithm table wants a table, which names each slot's replica")
        return chosen, {"key_hash": _key_hash(present) or "splitmix64"}
    return chosen, {}


def describe(ring: Placement) -> dict[str, Any]:
    """algorithm, preset, load_factor, hash, capacity, and the parameters by our names; None for
    what it does not have. A table is told slot by slot elsewhere."""
    inner = ring.placement if isinstance(ring, BoundedLoads) else ring
    parameters = {_OURS.get(name, name): value for name, value in inner.parameters().items()}
    config = getattr(inner, "config", None)
    presets = (name for name, preset in PRESETS.items() if preset == config)
    if parameters.pop("table", None) is not None:
        parameters["slots"] = config.num_slots  # type: ignore[union-attr]
    return {
        "algorithm": inner.algorithm,
        "preset": next(presets, None),
        "load_factor": ring.load_factor if isinstance(ring, BoundedLoads) else None,
        "hash": _key_hash(inner),
        **dict.fromkeys(_ALWAYS),
        "capacity": getattr(config, "capacity", None),
        **parameters,
    }


def _key_hash(ring: Placement) -> str | None:
    """Name of H, None where it is the algorithm's own."""
    parameters = ring.parameters()
    return parameters.get("key_hash") or parameters.get("hash")
