"""A lab of its own for each runtime, and a bystander whose name begins with the lab's."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import docker
import pytest
from labs import ROOT, free_port, play

RUNTIMES = os.environ.get("RINGLAB_TEST_RUNTIMES", "process").split()


@pytest.fixture
def runtimes() -> list[str]:
    """What labs of the tests can run on."""
    return RUNTIMES


@pytest.fixture(scope="module", params=RUNTIMES)
def variables(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """What the playbooks are told; the lab is not up at first."""
    name = f"ringlab-proof-{request.param}"
    play("playbooks/destroy.yml", lab_name=name)  # what a broken run left
    yield {"lab_name": name, "lab_port": free_port(), "lab_runtime": request.param}
    play("playbooks/destroy.yml", lab_name=name)


@pytest.fixture
def other_process(variables: dict[str, Any]) -> Iterator[subprocess.Popen[bytes]]:
    """A process of another lab."""
    directory = ROOT / ".ringlab" / f"{variables['lab_name']}-other"
    process = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"],
        env={"RINGLAB_DIRECTORY": str(directory)},
    )
    yield process
    process.kill()
    process.wait()


def remove_others(engine: docker.DockerClient, name: str) -> None:
    """Remove what bears another lab's label: this run's, and what a broken run left."""
    label = {"label": f"ringlab.lab={name}"}
    for container in engine.containers.list(all=True, filters=label):
        container.remove(force=True)
    for volume in engine.volumes.list(filters=label):
        volume.remove()
    for network in engine.networks.list(filters=label):
        network.remove()
    for image in engine.images.list(filters={"label": f"ringlab.image={name}"}):
        engine.images.remove(image.id, force=True)


@pytest.fixture
def other_things(variables: dict[str, Any]) -> Iterator[list[Any]]:
    """A container, an image, a network and a volume of another lab, where there is an engine."""
    if variables["lab_runtime"] != "docker":
        yield []
        return
    engine = docker.from_env()
    name = f"{variables['lab_name']}-other"
    labels = {"ringlab.lab": name}
    recipe = BytesIO(f'FROM scratch\nLABEL ringlab.image={name}\nCMD ["/none"]\n'.encode())
    remove_others(engine, name)
    try:
        image, _ = engine.images.build(fileobj=recipe, tag=f"ringlab/replica:{name}", rm=True)
        yield [
            engine.containers.create(image.tags[0], name=name, labels=labels),
            image,
            engine.networks.create(name, labels=labels),
            engine.volumes.create(name, labels=labels),
        ]
    finally:
        remove_others(engine, name)
        engine.close()
