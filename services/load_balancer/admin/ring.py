"""The ring: its configuration and slots, a change of it, and the way of one request id."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from apiflask import APIBlueprint

from load_balancer.admin.context import context
from load_balancer.admin.schemas import Answer, RingChange, RouteQuery
from load_balancer.errors import BadRequest, Conflict
from load_balancer.settings import RING_FIELDS
from ring import PRESETS, EmptyRing, InvalidConfig, RingConfig, key_of

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


def _config(change: RingChange) -> RingConfig:
    given = change.model_dump(exclude_none=True)
    if not given:
        raise BadRequest(f"nothing to change; accepted are: preset, {', '.join(RING_FIELDS)}")
    preset = given.pop("preset", None)
    if preset is not None and preset not in PRESETS:
        raise BadRequest(f"preset must be one of {', '.join(PRESETS)}, got {preset!r}")
    config = PRESETS[preset] if preset else context().membership.ring.config
    try:
        return replace(config, **{RING_FIELDS[name]: value for name, value in given.items()})
    except InvalidConfig as error:
        raise BadRequest(str(error).replace("num_", "")) from error


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
        **{ours: getattr(config, theirs) for ours, theirs in RING_FIELDS.items()},
        "capacity": config.capacity,
        "replicas": {
            hostname: {"server_id": server_id, "state": states.get(hostname), "slots": slots}
            for hostname, (server_id, slots) in ring.snapshot().items()
        },
    }
