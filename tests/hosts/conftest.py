"""Hosts of the tests' own; one set at a time, since they have fixed names and addresses."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hosts import Host, hosts
from labs import ROOT

PACKAGES = {
    "/usr/sbin/sshd": "openssh-server",
    "/usr/bin/ssh": "openssh-client",
    "/usr/sbin/dockerd": "docker.io",
    "/usr/sbin/iptables": "iptables",
    # Hosts share this machine's packages, and have no network to install any.
    "/usr/lib/python3/dist-packages/docker/api": "python3-docker",
}


@pytest.fixture(scope="session")
def prepared_machine() -> None:
    """What hosts are made with, installed where it is missing."""
    if os.geteuid() != 0:
        pytest.skip("hosts are namespaces, which only root can make")
    if missing := [package for path, package in PACKAGES.items() if not Path(path).exists()]:
        subprocess.run([ROOT / "scripts" / "install-tools", *missing], check=True)


@pytest.fixture(scope="module")
def three_hosts(prepared_machine: None) -> Iterator[list[Host]]:
    """Three hosts, an engine on each."""
    with hosts(3) as made:
        for host in made:
            host.start_engine()
        yield made
