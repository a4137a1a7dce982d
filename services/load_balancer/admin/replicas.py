"""How many replicas there are, and which: the classic assignment's calls, and one idempotent."""

from __future__ import annotations

from apiflask import APIBlueprint

from load_balancer.admin.context import context
from load_balancer.admin.schemas import AddOrRemove, Hostnames, Replicas, ReplicasAnswer

blueprint = APIBlueprint("replicas", __name__, tag="Replicas")


def _answer() -> ReplicasAnswer:
    hostnames = context().membership.listed
    return ReplicasAnswer(message=Replicas(N=len(hostnames), replicas=hostnames))


@blueprint.get("/rep")
@blueprint.output(ReplicasAnswer)
def get_replicas() -> ReplicasAnswer:
    """The replicas that are alive, and their number."""
    return _answer()


@blueprint.put("/rep")
@blueprint.input(Hostnames)
@blueprint.output(ReplicasAnswer)
def put_replicas(json_data: Hostnames) -> ReplicasAnswer:
    """Make the set exactly this. Idempotent."""
    context().run(context().controller.put(json_data.hostnames))
    return _answer()


@blueprint.post("/add")
@blueprint.input(AddOrRemove)
@blueprint.output(ReplicasAnswer)
def add(json_data: AddOrRemove) -> ReplicasAnswer:
    """Add n replicas; those that `hostnames` does not name get random names."""
    context().run(context().controller.add(json_data.n, json_data.hostnames))
    return _answer()


@blueprint.delete("/rm")
@blueprint.input(AddOrRemove)
@blueprint.output(ReplicasAnswer)
def rm(json_data: AddOrRemove) -> ReplicasAnswer:
    """Remove n replicas; those that `hostnames` does not name are picked at random."""
    context().run(context().controller.remove(json_data.n, json_data.hostnames))
    return _answer()
