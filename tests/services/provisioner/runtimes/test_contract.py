"""What every runtime promises, tried on real processes and, given an image, on real containers.

RINGLAB_TEST_REPLICA_IMAGE: reference of a built replica image on the local engine. Where it is set
the suite runs on the docker runtime too.
"""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from provisioner.errors import ReplicaUnknown, WrongState
from provisioner.runtimes.base import Hostname, Replica, Runtime, State, parse_hostname
from provisioner.runtimes.docker import (
    HOSTNAME_LABEL,
    LAB_LABEL,
    ROLE_LABEL,
    SERVER_ID_LABEL,
    ContainerSpec,
    DockerRuntime,
)
from provisioner.runtimes.pids import Identity
from provisioner.runtimes.process import ProcessRuntime, Record

WaitUntil = Callable[[Callable[[], object]], None]
Ask = Callable[[str | None], str]
MakeRuntime = Callable[[], Runtime]

IMAGE = os.environ.get("RINGLAB_TEST_REPLICA_IMAGE")
ENGINE_URL = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
LAB = f"ringlab-test-runtime-{os.getpid()}"
NAME = parse_hostname("Server1")
OTHER = parse_hostname("Server2")

RUNTIMES = ["process", *([pytest.param("docker", marks=pytest.mark.lab)] if IMAGE else [])]


@pytest.fixture(scope="module")
def network() -> Iterator[str]:
    """An internal network of a lab of our own; all that bears the lab's label goes with it."""
    with closing(docker.DockerClient(ENGINE_URL)) as engine:
        labels = {"label": f"{LAB_LABEL}={LAB}"}
        made = engine.networks.create(LAB, internal=True, labels={LAB_LABEL: LAB})
        yield LAB
        for container in engine.containers.list(all=True, filters=labels):
            container.remove(force=True)
        made.remove()


@pytest.fixture(params=RUNTIMES)
def make_runtime(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeRuntime]:
    """Makes runtimes over one and the same set of replicas, as one that starts again would."""
    if request.param == "docker":
        spec = ContainerSpec(LAB, str(IMAGE), request.getfixturevalue("network"), "128m", 64)

        def make() -> Runtime:
            return DockerRuntime(ENGINE_URL, spec)
    else:

        def make() -> Runtime:
            return ProcessRuntime(tmp_path)

    yield make
    runtime = make()
    for replica in runtime.list():
        runtime.remove(Hostname(replica.hostname), grace_s=0)


@pytest.fixture
def is_stranger_alive(
    request: pytest.FixtureRequest, runtime: Runtime, tmp_path: Path
) -> Iterator[Callable[[], bool]]:
    """Beside the lab lives a stranger that resembles its replica NAME in all but one mark."""
    if runtime.name == "docker":
        strangers = request.getfixturevalue("strange_containers")
        yield lambda: all(attributes(stranger)["Running"] for stranger in strangers)
        return
    with subprocess.Popen(["sleep", "1000"]) as stranger:
        # A record of another lab: the same in all but its place.
        record = Record("Server1", 1, Identity.of(stranger.pid), "127.0.0.1:9")
        elsewhere = tmp_path.with_name(f"{tmp_path.name}-elsewhere")
        elsewhere.mkdir()
        (elsewhere / "Server1.json").write_text(json.dumps(asdict(record)))
        yield lambda: stranger.poll() is None
        stranger.kill()


@pytest.fixture
def strange_containers(network: str) -> Iterator[list[Container]]:
    """Containers that lack one of the three labels by which a replica is found."""
    replica = {LAB_LABEL: LAB, ROLE_LABEL: "replica", HOSTNAME_LABEL: "Server1"}
    near_misses = [
        {LAB_LABEL: f"{LAB}-other"},
        {ROLE_LABEL: "load-balancer"},
        {HOSTNAME_LABEL: "Server10"},
    ]
    options = {"detach": True, "network": network, "environment": {"SERVER_ID": "stranger"}}
    with closing(docker.DockerClient(ENGINE_URL)) as engine:
        strangers = [
            engine.containers.run(IMAGE, labels=replica | {SERVER_ID_LABEL: "1"} | miss, **options)
            for miss in near_misses
        ]
        yield strangers
        for stranger in strangers:
            stranger.remove(force=True)


def attributes(container: Container) -> dict[str, object]:
    container.reload()
    return container.attrs["State"]


@pytest.fixture
def runtime(make_runtime: MakeRuntime) -> Runtime:
    return make_runtime()


@pytest.fixture
def created(runtime: Runtime) -> Replica:
    """The replica NAME, perhaps not answering yet."""
    return runtime.create_or_replace(NAME, 1)


@pytest.fixture
def running(created: Replica, ask: Ask, wait_until: WaitUntil) -> Replica:
    """The replica NAME, answering."""
    wait_until(lambda: ask(created.address))
    return created


def bring_into(state: State, runtime: Runtime) -> None:
    if state is State.PAUSED:
        runtime.pause(NAME)
    elif state is State.EXITED:
        runtime.kill(NAME)


def test_check_passes_where_the_runtime_answers(runtime: Runtime) -> None:
    """A runtime that can work says so by returning."""
    runtime.check()


def test_a_created_replica_greets_by_its_name(running: Replica, ask: Ask) -> None:
    """What create returns is the address of a replica that calls itself by its hostname."""
    assert "Hello from Server: Server1" in ask(running.address)


def test_a_created_replica_is_listed(runtime: Runtime, created: Replica) -> None:
    """The list shows a replica just as it was returned: running, with id and address."""
    assert Replica("Server1", 1, created.address, State.RUNNING) == created
    assert [created] == list(runtime.list())


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("state", State)
def test_create_replaces_whatever_bears_the_name(
    runtime: Runtime, state: State, ask: Ask, wait_until: WaitUntil
) -> None:
    """A running, paused or exited replica gives way to a fresh one; one remains, and it answers."""
    bring_into(state, runtime)
    fresh = runtime.create_or_replace(NAME, 5)
    assert [Replica("Server1", 5, fresh.address, State.RUNNING)] == list(runtime.list())
    wait_until(lambda: ask(fresh.address))


def test_replicas_do_not_disturb_each_other(
    runtime: Runtime, running: Replica, ask: Ask, wait_until: WaitUntil
) -> None:
    """Making, killing and removing one replica leaves another as it was."""
    runtime.create_or_replace(OTHER, 2)
    runtime.kill(OTHER)
    runtime.remove(OTHER, grace_s=0)
    assert [running] == list(runtime.list())
    wait_until(lambda: "Server1" in ask(running.address))


@pytest.mark.parametrize("state", [State.RUNNING, State.PAUSED])
def test_a_killed_replica_stays_listed_as_exited(
    runtime: Runtime, running: Replica, state: State, ask: Ask
) -> None:
    """After kill nothing answers at the address, and the list says exited, without an address."""
    bring_into(state, runtime)
    runtime.kill(NAME)
    assert [Replica("Server1", 1, None, State.EXITED)] == list(runtime.list())
    with pytest.raises(OSError, match=r".*"):
        ask(running.address)


def test_a_paused_replica_is_silent_until_resumed(
    runtime: Runtime, running: Replica, ask: Ask, wait_until: WaitUntil
) -> None:
    """A paused replica keeps its address and answers nothing; resumed, it answers again."""
    runtime.pause(NAME)
    assert [Replica("Server1", 1, running.address, State.PAUSED)] == list(runtime.list())
    with pytest.raises(TimeoutError):
        ask(running.address)
    runtime.resume(NAME)
    assert [running] == list(runtime.list())
    wait_until(lambda: "Server1" in ask(running.address))


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(
    ("state", "verb"),
    [
        (State.RUNNING, "resume"),
        (State.PAUSED, "pause"),
        (State.EXITED, "kill"),
        (State.EXITED, "pause"),
        (State.EXITED, "resume"),
    ],
)
def test_a_verb_that_does_not_fit_the_state_is_refused(
    runtime: Runtime, state: State, verb: str
) -> None:
    """The refusal names the state, and the state stays."""
    bring_into(state, runtime)
    before = list(runtime.list())
    with pytest.raises(WrongState, match=f"'Server1' is {state}"):
        getattr(runtime, verb)(NAME)
    assert before == list(runtime.list())


@pytest.mark.parametrize("verb", ["kill", "pause", "resume"])
def test_an_unknown_name_is_refused(runtime: Runtime, verb: str) -> None:
    """What does not exist cannot be harmed, and the refusal names it."""
    with pytest.raises(ReplicaUnknown, match="Server2"):
        getattr(runtime, verb)(OTHER)


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("state", State)
def test_a_removed_replica_is_gone(runtime: Runtime, state: State) -> None:
    """Removal works in every state, and a second one finds nothing to do."""
    bring_into(state, runtime)
    runtime.remove(NAME, grace_s=0)
    assert [] == list(runtime.list())
    runtime.remove(NAME, grace_s=0)


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("state", [State.RUNNING, State.PAUSED])
def test_removal_uses_no_grace_in_vain(runtime: Runtime, state: State) -> None:
    """SIGTERM ends a replica, also one that is process 1; a frozen one is not asked at all."""
    bring_into(state, runtime)
    started_s = time.monotonic()
    runtime.remove(NAME, grace_s=30)
    assert time.monotonic() - started_s < 10


@pytest.mark.parametrize("state", State)
def test_a_runtime_that_starts_again_adopts_what_is_there(
    runtime: Runtime, running: Replica, make_runtime: MakeRuntime, state: State
) -> None:
    """A second runtime over the same lab lists the same replicas, and can remove them."""
    bring_into(state, runtime)
    successor = make_runtime()
    address = None if state is State.EXITED else running.address
    assert [Replica("Server1", 1, address, state)] == list(successor.list())
    successor.remove(NAME, grace_s=0)
    assert [] == list(runtime.list())


@given(
    calls=st.lists(
        st.tuples(
            st.sampled_from(["create", "remove", "kill", "pause", "resume"]),
            st.sampled_from(["Server1", "server1", "Server1-0", "1", "elsewhere", "stranger"]),
        ),
        max_size=8,
    )
)
@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    # One runtime and one stranger for all examples: the calls are free to add up.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_no_history_of_calls_touches_a_stranger(
    runtime: Runtime, is_stranger_alive: Callable[[], bool], calls: list[tuple[str, str]]
) -> None:
    """Whatever is called in whatever order, what is not this lab's replica goes on undisturbed."""
    for verb, text in calls:
        hostname = parse_hostname(text)
        with suppress(ReplicaUnknown, WrongState):
            if verb == "create":
                runtime.create_or_replace(hostname, 1)
            elif verb == "remove":
                runtime.remove(hostname, grace_s=0)
            else:
                getattr(runtime, verb)(hostname)
    assert is_stranger_alive()
