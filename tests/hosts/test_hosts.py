"""The testbed itself: three hosts that know of each other only what passes over the switch."""

from __future__ import annotations

import pytest
from hosts import Host
from labs import eventually

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]


def test_a_host_has_an_engine_and_a_name_of_its_own(three_hosts: list[Host]) -> None:
    """What is run over SSH sees that host's name and that host's engine."""
    names = [host.name for host in three_hosts]
    assert names == [host.run("hostname").strip() for host in three_hosts]
    asked = ["docker", "info", "--format", "{{.Name}}"]
    assert names == [host.run(*asked).strip() for host in three_hosts]


def test_a_cut_link_cuts_one_host_off(three_hosts: list[Host]) -> None:
    """Nobody reaches it, the others reach each other; with the plug back in all is as before."""
    first, second, third = three_hosts

    def reaches(one: Host, other: Host) -> bool:
        greeting = f"timeout 1 bash -c 'head -c 4 < /dev/tcp/{other.address}/22' 2>&1 || true"
        return "SSH-" in one.run(greeting)

    third.cut_off()
    assert [True, False] == [reaches(first, other) for other in (second, third)]
    third.join_again()
    eventually(lambda: reaches(first, third), within_s=10)
