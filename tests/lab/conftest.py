"""A lab of the tests' own: other name, other port, stood up by the playbooks, destroyed after.

It runs in containers where an engine answers, and in processes; RINGLAB_TEST_RUNTIMES says which
("docker process"), and `make test` sets it after it has tried to start an engine.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from labs import Lab, free_port, play

RUNTIMES = os.environ.get("RINGLAB_TEST_RUNTIMES", "process").split()


@pytest.fixture(scope="session", params=RUNTIMES)
def standing_lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    lab = Lab(f"ringlab-test-{request.param}", request.param, free_port())
    play("playbooks/destroy.yml", lab_name=lab.name)  # what a broken run left
    play("site.yml", lab_name=lab.name, lab_port=lab.port, lab_runtime=lab.runtime)
    yield lab
    play("playbooks/destroy.yml", lab_name=lab.name)


@pytest.fixture
def lab(standing_lab: Lab) -> Lab:
    standing_lab.reset()
    return standing_lab
