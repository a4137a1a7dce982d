"""How many replicas there are, and which: the classic assignment's calls, and one idempotent."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from apiflask import APIBlueprint

from load_balancer import forecast
from load_balancer.admin.context import context
from load_balancer.admin.schemas import AddOrRemove, DryRun, Hostnames, Replicas, ReplicasAnswer

blueprint = APIBlueprint("replicas", __name__, tag="Replicas")


def _answer() -> ReplicasAnswer:
    hostnames = context().membership.listed
    return ReplicasAnswer(message=Replicas(N=len(hostnames), replicas=hostnames))


def _forecast(*, also: Sequence[str] = (), without: Collection[str] = ()) -> ReplicasAnswer:
    """What `_answer` would be if these came and those left; and which share of the keys moves."""
    membership = context().membership
    ring = membership.ring_with(also=also, without=without)
    hostnames = [*(name for name in membership.listed if name not in without), *also]
    return ReplicasAnswer(
        message=Replicas(
            N=len(hostnames),
            replicas=hostnames,
            moved=forecast.moved(membership.ring, ring),
            shares=forecast.shares(ring),
        )
    )


@blueprint.get("/rep")
@blueprint.output(ReplicasAnswer)
def get_replicas() -> ReplicasAnswer:
    """The replicas that are alive, and their number."""
    return _answer()


@blueprint.put("/rep")
@blueprint.input(DryRun, location="query")
@blueprint.input(Hostnames)
@blueprint.output(ReplicasAnswer)
def put_replicas(query_data: DryRun, json_data: Hostnames) -> ReplicasAnswer:
    """Make the set exactly this. Idempotent."""
    controller, hostnames = context().controller, json_data.hostnames
    if query_data.dry_run:
        missing, surplus = controller.names_to_put(hostnames)
        return _forecast(also=missing, without=surplus)
    context().run(controller.put(hostnames))
    return _answer()


@blueprint.post("/add")
@blueprint.input(DryRun, location="query")
@blueprint.input(AddOrRemove)
@blueprint.output(ReplicasAnswer)
def add(query_data: DryRun, json_data: AddOrRemove) -> ReplicasAnswer:
    """Add n replicas; those that `hostnames` does not name get random names."""
    controller, n, hostnames = context().controller, json_data.n, json_data.hostnames
    if query_data.dry_run:
        return _forecast(also=controller.names_to_add(n, hostnames))
    context().run(controller.add(n, hostnames))
    return _answer()


@blueprint.delete("/rm")
@blueprint.input(DryRun, location="query")
@blueprint.input(AddOrRemove)
@blueprint.output(ReplicasAnswer)
def rm(query_data: DryRun, json_data: AddOrRemove) -> ReplicasAnswer:
    """Remove n replicas; those that `hostnames` does not name are picked at random."""
    controller, n, hostnames = context().controller, json_data.n, json_data.hostnames
    if query_data.dry_run:
        return _forecast(without=controller.names_to_remove(n, hostnames))
    context().run(controller.remove(n, hostnames))
    return _answer()
