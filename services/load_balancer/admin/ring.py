"""The ring: its configuration and slots, a change of it, and the way of one request id."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from apiflask import APIBlueprint

from load_balancer.admin.context import context
from load_balancer.admin.schemas import Answer, RingChange, RouteQuery
from load_balancer.errors import BadRequest, Conflict
from load_balancer.settings import RING_FIELDS
from ring import PRESETS, AnyConfig, EmptyRing, InvalidConfig, TableConfig, key_of

blueprint = APIBlueprint("ring", __name__, tag="Ring")


@blueprint.get("/ring")
@blueprint.output(Answer)
def get_ring() -> Answer:
    """Configuration, and the slots of each replica's virtual nodes."""
    return Answer(message=_describe())


@blueprint.put("/ring")
@blueprint.input(RingChange)
@blueprint.output(Answer)
def put_ring(json_data: RingChange) -> Answer:
    """Change the ring under traffic; nothing is lost."""
    context().run(context().controller.configure(_config(json_data)))
    return Answer(message=_describe())


@blueprint.get("/route")
@blueprint.input(RouteQuery, location="query")
@blueprint.output(Answer)
def get_route(query_data: RouteQuery) -> Answer:
    """Explain one decision: hash, slot, probes, replica, failover order."""
    membership = context().membership
    key = key_of(query_data.id)
    try:
        explanation = membership.ring.explain(key)
    except EmptyRing:
        raise Conflict("there are no replicas, so no way to explain") from None
    serving = [replica.hostname for replica in membership.table.failover_order(key)]
    return Answer(
        message={
            "id": query_data.id,
            "key": key,
            "hash": explanation.hash,
            "slot": explanation.slot,
            "probes": explanation.probes,
            "taken_slot": explanation.taken_slot,
            "owner": explanation.node,
            "replica": serving[0] if serving else None,
            "failover_order": serving,
        }
    )


def _config(change: RingChange) -> AnyConfig:
    given = change.model_dump(exclude_none=True)
    if not given:
        raise BadRequest(f"nothing to change; accepted are: {', '.join(RingChange.model_fields)}")
    present = context().membership.ring.config
    preset = given.get("preset")
    if preset is not None and preset not in PRESETS:
        raise BadRequest(f"preset must be one of {', '.join(PRESETS)}, got {preset!r}")
    try:
        if "table" in given or (preset is None and isinstance(present, TableConfig)):
            return _table_config(present, given)
        fields = {RING_FIELDS[name]: given[name] for name in given if name != "preset"}
        return replace(PRESETS[preset] if preset else present, **fields)
    except InvalidConfig as error:
        raise BadRequest(str(error).replace("num_", "")) from error


def _table_config(present: AnyConfig, given: dict[str, Any]) -> TableConfig:
    """A new table, or another hash for the present one."""
    if others := given.keys() - {"table", "key_hash"}:
        raise BadRequest(
            f"beside a table only key_hash is accepted, got {', '.join(sorted(others))}"
        )
    replicas = context().membership.joined
    for slot, name in enumerate(given.get("table", [])):
        if name not in replicas:
            known = ", ".join(replicas) or "none"
            raise BadRequest(f"table[{slot}] must be a replica, got {name!r}; there are: {known}")
    kept = {"table": present.table} if isinstance(present, TableConfig) else {}
    return TableConfig(**kept | {"key_hash": present.key_hash} | given)


def _describe() -> dict[str, Any]:
    membership = context().membership
    ring = membership.ring
    config = ring.config
    presets = (name for name, preset in PRESETS.items() if preset == config)
    members = list(membership.members.values())  # a copy: the event loop may change them
    states = {member.hostname: member.health.state for member in members}
    return {
        "algorithm": config.algorithm,
        "preset": next(presets, None),
        # A table has no virtual nodes and what goes with them.
        **{ours: getattr(config, theirs, None) for ours, theirs in RING_FIELDS.items()},
        "capacity": config.capacity,
        "replicas": {
            hostname: {"server_id": server_id, "state": states.get(hostname), "slots": slots}
            for hostname, (server_id, slots) in ring.snapshot().items()
        },
    }
