"""Hosts of the tests' own; one set at a time, since they have fixed names and addresses."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hosts import Host, hosts

PACKAGES = {"/usr/sbin/sshd": "openssh-server", "/usr/bin/ssh": "openssh-client"}


@pytest.fixture(scope="session")
def prepared_machine() -> None:
    """What hosts are made with; skipped where it can be neither found nor installed."""
    if os.geteuid() != 0:
        pytest.skip("hosts are namespaces, which only root can make")
    if not Path("/usr/sbin/dockerd").exists():
        pytest.skip("hosts need an engine to run: playbooks/engine.yml installs one")
    missing = [package for path, package in PACKAGES.items() if not Path(path).exists()]
    if missing:
        subprocess.run(["apt-get", "update"], check=True)
        options = ["--yes", "--no-install-recommends"]
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "install", *options, *missing], env=environment, check=True)


@pytest.fixture(scope="module")
def three_hosts(prepared_machine: None) -> Iterator[list[Host]]:
    """Three hosts, an engine on each."""
    with hosts(3) as made:
        for host in made:
            host.start_engine()
        yield made
