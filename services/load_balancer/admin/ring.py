"""The ring: its configuration and slots, a change of it, and the way of one request id."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint

from load_balancer import forecast, rings
from load_balancer.admin.context import context
from load_balancer.admin.schemas import Answer, DryRun, RingChange, RouteQuery
from load_balancer.errors import BadRequest, Conflict
from ring import BoundedLoads, Circle, InvalidConfig, Placement, key_of

blueprint = APIBlueprint("ring", __name__, tag="Ring")


@blueprint.get("/ring")
@blueprint.output(Answer)
def get_ring() -> Answer:
    """Configuration; of each replica its share of the request ids, and its slots if any."""
    return Answer(message=_describe(context().membership.ring))


@blueprint.put("/ring")
@blueprint.input(DryRun, location="query")
@blueprint.input(RingChange)
@blueprint.output(Answer)
def put_ring(query_data: DryRun, json_data: RingChange) -> Answer:
    """Change the ring under traffic; nothing is lost.

    In a dry run, `moved` is the share of the request ids that would change their replica.
    """
    chosen = _chosen(json_data)
    if query_data.dry_run:
        present = context().membership.ring
        ring = context().membership.ring_like(chosen)
        return Answer(message=_describe(ring) | {"moved": forecast.moved(present, ring)})
    context().run(context().controller.configure(chosen))
    return Answer(message=_describe(context().membership.ring))


@blueprint.get("/route")
@blueprint.input(RouteQuery, location="query")
@blueprint.output(Answer)
def get_route(query_data: RouteQuery) -> Answer:
    """Explain one decision: hash, slot and probes if there are any, replica, failover order."""
    membership = context().membership
    key = key_of(query_data.id)
    ring = _inner(membership.ring)
    if not ring.nodes:
        raise Conflict("there are no replicas, so no way to explain")
    serving = [replica.hostname for replica in membership.table.failover_order(key)]
    chosen = context().server.route(key)
    steps = ring.explain(key) if isinstance(ring, Circle) else None
    return Answer(
        message={
            "id": query_data.id,
            "key": key,
            "hash": ring.key_hash(key),
            "slot": steps and steps.slot,
            "probes": steps and steps.probes,
            "taken_slot": steps and steps.taken_slot,
            "owner": ring.lookup(key),
            "replica": chosen and chosen.hostname,
            "failover_order": serving,
        }
    )


def _chosen(change: RingChange) -> Placement:
    given = change.model_dump(exclude_unset=True)
    # A null says nothing, but of the load factor, which it takes away.
    given = {name: v for name, v in given.items() if v is not None or name == "load_factor"}
    if not given:
        raise BadRequest(f"nothing to change; accepted are: {', '.join(RingChange.model_fields)}")
    replicas = context().membership.joined
    for slot, name in enumerate(given.get("table", [])):
        if name not in replicas:
            known = ", ".join(replicas) or "none"
            raise BadRequest(f"table[{slot}] must be a replica, got {name!r}; there are: {known}")
    try:
        return rings.choose(given, context().membership.ring)
    except InvalidConfig as error:
        raise BadRequest(str(error)) from error


def _describe(ring: Placement) -> dict[str, Any]:
    inner = _inner(ring)
    members = list(context().membership.members.values())  # a copy: the event loop may change them
    states = {member.hostname: member.health.state for member in members}
    return {
        **rings.describe(ring),
        "replicas": {
            hostname: {
                "server_id": ring.node(hostname).node_id,
                "state": states.get(hostname),
                "share": share,
                "slots": inner.slots_of(hostname) if isinstance(inner, Circle) else None,
            }
            for hostname, share in forecast.shares(ring).items()
        },
    }


def _inner(ring: Placement) -> Placement:
    """Without the bounds of its loads, which change from one request to the next."""
    return ring.placement if isinstance(ring, BoundedLoads) else ring
