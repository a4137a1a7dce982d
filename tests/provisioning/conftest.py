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


@pytest.fixture
def other_things(variables: dict[str, Any]) -> Iterator[list[Any]]:
    """A container, an image, a network and a volume of another lab, where there is an engine."""
    if variables["lab_runtime"] != "docker":
        yield []
        return
    engine = docker.from_env()
    name = f"{variables['lab_name']}-other"
    labels = {"ringlab.lab": name}
    recipe = BytesIO(f'FROM scratch\nLABEL ringlab.lab={name}\nCMD ["/none"]\n'.encode())
    image, _ = engine.images.build(fileobj=recipe, tag=f"{name}/replica:test", rm=True)
    network = engine.networks.create(name, labels=labels)
    volume = engine.volumes.create(name, labels=labels)
    container = engine.containers.create(image, name=name, labels=labels)
    yield [container, image, network, volume]
    container.remove()
    volume.remove()
    network.remove()
    engine.images.remove(image.id)
    engine.close()
