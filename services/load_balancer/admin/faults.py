"""Faults to inject. The control plane takes no note of them: it must find out by itself."""

from __future__ import annotations

from apiflask import APIBlueprint

from load_balancer.admin.context import context
from load_balancer.admin.schemas import Answer, Hostname

blueprint = APIBlueprint("faults", __name__, tag="Faults")


@blueprint.post("/crash")
@blueprint.input(Hostname)
@blueprint.output(Answer)
def crash(json_data: Hostname) -> Answer:
    """SIGKILL a replica."""
    context().run(context().controller.crash(json_data.hostname))
    return Answer(message={"crashed": json_data.hostname})


@blueprint.post("/pause")
@blueprint.input(Hostname)
@blueprint.output(Answer)
def pause(json_data: Hostname) -> Answer:
    """Freeze a replica: it accepts connections and answers nothing."""
    context().run(context().controller.pause(json_data.hostname))
    return Answer(message={"paused": json_data.hostname})


@blueprint.post("/resume")
@blueprint.input(Hostname)
@blueprint.output(Answer)
def resume(json_data: Hostname) -> Answer:
    """Thaw a frozen replica."""
    context().run(context().controller.resume(json_data.hostname))
    return Answer(message={"resumed": json_data.hostname})
