"""Where replicas run: one module for each runtime, behind the interface in `base`."""

from provisioner.runtimes.base import Runtime
from provisioner.settings import Settings


def make_runtime(settings: Settings) -> Runtime:
    """The runtime that the settings name; only its own dependencies are imported."""
    if settings.runtime == "docker":
        from provisioner.runtimes.docker import ContainerSpec, DockerRuntime

        spec = ContainerSpec(
            lab=settings.lab,
            image=settings.image,
            network=settings.network,
            memory=settings.memory,
            pids=settings.pids,
        )
        return DockerRuntime(settings.docker_host, spec)
    from provisioner.runtimes.process import ProcessRuntime

    return ProcessRuntime(settings.directory)
