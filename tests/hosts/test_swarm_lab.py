"""A lab over three hosts: stood up over SSH, true to the digit, and whole when one is cut off.

The tests go in this order: the last one destroys what the first one made.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

import docker
import pytest
from hosts import hosts
from labs import NAMES, ROOT, eventually, play
from load import SteadyStream, send, spec_ids
from nbval_runs import FAILURE, SPREAD, nbval
from swarm_lab import TOKEN, SwarmLab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

LAB_NAME = "ringlab-test-swarm"
HEALED_S = 15.0
# The swarm's own gossip takes half a minute to find a node that is back.
BACK_S = 90.0


@pytest.fixture(scope="module")
def bare_lab(
    prepared_machine: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SwarmLab]:
    """Three hosts without an engine, and a lab that is not up yet."""
    play("playbooks/destroy.yml", lab_name=LAB_NAME)  # what a broken run left on this machine
    try:
        with hosts(3) as made:
            yield SwarmLab(LAB_NAME, made, tmp_path_factory.mktemp("swarm"))
    finally:
        play("playbooks/destroy.yml", lab_name=LAB_NAME)


@pytest.fixture(scope="module")
def standing_lab(bare_lab: SwarmLab) -> SwarmLab:
    """Stood up by the playbook, on two of the hosts; the third one joins them."""
    assert bare_lab.changed("site.yml", hosts=bare_lab.hosts[:2]) > 0
    assert bare_lab.changed("site.yml") > 0
    return bare_lab


@pytest.fixture
def lab(standing_lab: SwarmLab) -> SwarmLab:
    """With three replicas, each of which is somewhere once."""
    standing_lab.reset()
    eventually(lambda: standing_lab.places() == Counter(NAMES), within_s=HEALED_S, every_s=0.5)
    return standing_lab


def test_check_makes_nothing(bare_lab: SwarmLab) -> None:
    """--check before the first run says what would change, and changes nothing."""
    assert bare_lab.changed("site.yml", "--check") > 0
    assert not (ROOT / ".ringlab" / LAB_NAME).exists()


def test_replicas_run_on_each_host(lab: SwarmLab) -> None:
    """The next one goes to the host that joined; each host has a provisioner and an anchor, and the
    manager the load balancer."""
    crowded = max(lab.hosts, key=lambda host: len(lab.replicas_on(host)))
    moved = {"n": 1, "hostnames": sorted(lab.replicas_on(crowded))[:1]}
    for method, path in (("DELETE", "/rm"), ("POST", "/add")):
        assert 200 == lab.call(method, path, json=moved).status_code
    assert [1, 1, 1] == [len(lab.replicas_on(host)) for host in lab.hosts]
    services = [
        sorted(name for name in lab.containers(host) if not name.startswith("replica-"))
        for host in lab.hosts
    ]
    first, *others = ([f"anchor-{host.name}", f"provisioner-{host.name}"] for host in lab.hosts)
    assert [sorted(["load-balancer", *first]), *others] == services


def test_again_changes_nothing(lab: SwarmLab) -> None:
    """The second run changes nothing, and neither would a check."""
    assert [0, 0] == [lab.changed("site.yml"), lab.changed("site.yml", "--check")]


def test_inspect_finds_the_walls_in_place(lab: SwarmLab) -> None:
    """The playbook that checks what may touch what passes on each host."""
    assert 0 == lab.changed("playbooks/inspect.yml")


def test_ten_thousand_requests_spread_as_predicted(lab: SwarmLab) -> None:
    """The contract's counts for the seed's deployed ring, nothing lost between the hosts."""
    assert 200 == lab.call("PUT", "/ring", json={"preset": "seed-deployed"}).status_code
    outcome = send(lab.url, spec_ids(10_000), concurrency=100)
    assert [] == outcome.failures
    assert {"Server1": 3834, "Server2": 3073, "Server3": 3093} == dict(outcome.answers)


def test_the_course_is_the_same(lab: SwarmLab) -> None:
    """What is measured for the report, and a failure, give the outputs that one machine gave."""
    run = nbval(lab.url, [SPREAD, FAILURE], TOKEN)
    assert 0 == run.returncode, run.stdout


def test_a_crash_is_healed_on_any_host(lab: SwarmLab) -> None:
    """/crash reaches the replica of each host, and a fresh one takes its place."""

    def ids() -> set[str]:
        ask = "docker ps --quiet --filter label=ringlab.role=replica"
        return {found for host in lab.hosts for found in host.run(ask).split()}

    before = ids()
    for hostname in NAMES:
        assert 200 == lab.call("POST", "/crash", json={"hostname": hostname}).status_code
    eventually(lambda: len(ids() - before) == 3, within_s=HEALED_S, every_s=0.5)
    eventually(lambda: lab.replicas() == NAMES, within_s=HEALED_S)
    eventually(lambda: lab.places() == Counter(NAMES), within_s=HEALED_S, every_s=0.5)


def test_a_freeze_is_healed_on_any_host(lab: SwarmLab) -> None:
    """/pause reaches the replicas of the hosts that are not the manager's; they are replaced."""
    frozen = [name for host in lab.hosts[1:] for name in lab.replicas_on(host)]
    for hostname in frozen:
        assert 200 == lab.call("POST", "/pause", json={"hostname": hostname}).status_code
    eventually(lambda: set(lab.replicas()).isdisjoint(frozen), within_s=HEALED_S)
    eventually(lambda: lab.replicas() == NAMES, within_s=HEALED_S)
    eventually(lambda: lab.places() == Counter(NAMES), within_s=HEALED_S, every_s=0.5)


def test_a_host_that_is_cut_off_under_load_costs_nothing(lab: SwarmLab) -> None:
    """Its replicas are replaced on the others within 15 s, and no request fails; when its link is
    back, no name runs twice, and nothing is left over."""
    host = next(host for host in lab.hosts[1:] if lab.replicas_on(host))
    others = [other for other in lab.hosts if other is not host]
    with SteadyStream(lab.url) as stream:
        host.cut_off()
        begin = time.monotonic()
        try:
            eventually(lambda: len(lab.replicas()) < len(NAMES), within_s=HEALED_S)
            eventually(lambda: lab.replicas() == NAMES, within_s=HEALED_S)
            assert time.monotonic() - begin < HEALED_S
            assert Counter(NAMES) == lab.places(*others)
        finally:
            host.join_again()
        eventually(lambda: lab.places() == Counter(NAMES), within_s=BACK_S, every_s=0.5)
    assert [] == stream.failures
    assert stream.sent > 0
    assert NAMES == lab.replicas()


def test_a_host_leaves_and_joins_by_the_inventory(lab: SwarmLab) -> None:
    """One line less, and it is drained: its replicas are elsewhere. One line more, and it gets one
    of the next."""
    *others, third = lab.hosts

    def availability() -> str:
        ask = "docker node inspect {} --format {{{{.Spec.Availability}}}}"
        return lab.hosts[0].run(ask.format(third.name)).strip()

    more = {"n": 3, "hostnames": ["Server4", "Server5", "Server6"]}
    assert 200 == lab.call("POST", "/add", json=more).status_code
    assert lab.replicas_on(third) != set()
    assert lab.changed("site.yml", hosts=others) > 0
    assert "drain" == availability()
    assert set() == lab.replicas_on(third)
    eventually(lambda: lab.places(*others) == Counter(NAMES), within_s=HEALED_S, every_s=0.5)

    assert lab.changed("site.yml") > 0
    assert "active" == availability()
    assert 200 == lab.call("POST", "/add", json=more).status_code
    assert lab.replicas_on(third) != set()


def test_destroy_leaves_nothing(standing_lab: SwarmLab) -> None:
    """No container, image, volume or network on any host, and no swarm; here no container or volume
    of the lab, for images may be another lab's."""
    assert standing_lab.changed("playbooks/destroy.yml") > 0
    everything = "docker ps -aq; docker images -q; docker volume ls -q"
    for host in standing_lab.hosts:
        assert "" == host.run(everything).strip()
        state = host.run("docker info --format {{.Swarm.LocalNodeState}}").strip()
        assert "inactive" == state
        assert LAB_NAME not in host.run("docker network ls")
    engine = docker.from_env()
    label = {"label": f"ringlab.lab={LAB_NAME}"}
    assert [] == engine.containers.list(all=True, filters=label)
    assert [] == engine.volumes.list(filters=label)
    assert not (ROOT / ".ringlab" / LAB_NAME).exists()
