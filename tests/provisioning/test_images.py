"""Labs of one engine share images, from before they are made to the end of the last lab."""

from __future__ import annotations

import docker
import pytest
from labs import free_port, play
from plays import changed

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]


def test_a_lab_that_is_not_up_yet_keeps_its_images(runtimes: list[str]) -> None:
    """Another one's destroy, in the midst of its making, takes none away."""
    if "docker" not in runtimes:
        return  # there are no images where there are no containers
    first, other = "ringlab-images", "ringlab-images-other"
    lab = {"lab_name": first, "lab_port": free_port(), "lab_runtime": "docker"}
    images = docker.from_env().images
    try:
        changed("playbooks/deploy.yml", "--tags", "images", **lab)
        made = images.list(filters={"label": "ringlab.image"})
        play("playbooks/destroy.yml", lab_name=other)
        assert made
        assert made == images.list(filters={"label": "ringlab.image"})
    finally:
        play("playbooks/destroy.yml", lab_name=first)
