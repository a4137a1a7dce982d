"""Where replicas run: one module for each runtime, behind the interface in `base`.

`swarm` is the docker runtime on an attachable overlay network, once on each node.
"""

from provisioner.runtimes.base import Runtime
from provisioner.settings import Settings


def make_runtime(settings: Settings) -> Runtime:
    """The runtime that the settings name; only its own dependencies are imported."""
    if settings.runtime != "process":
        from provisioner.runtimes.docker import ContainerSpec, DockerRuntime
        from provisioner.runtimes.swarm import SwarmRuntime

        spec = ContainerSpec(
            lab=settings.lab,
            image=settings.image,
            network=settings.network,
            memory=settings.memory,
            pids=settings.pids,
        )
        runtimes = {"docker": DockerRuntime, "swarm": SwarmRuntime}
        return runtimes[settings.runtime](settings.docker_host, spec)
    from provisioner.runtimes.process import ProcessRuntime

    return ProcessRuntime(settings.directory)
