"""The provisioner as a process: real replicas, real signals, a real socket."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from provisioner.runtimes.base import Hostname
from provisioner.runtimes.process import ProcessRuntime

Call = Callable[..., tuple[int, Any]]
WaitUntil = Callable[[Callable[[], object]], None]
Start = Callable[[], "subprocess.Popen[str]"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the provisioner's socket is."""
    return tmp_path / "s"


@pytest.fixture
def start(tmp_path: Path, path: Path, call: Call, wait_until: WaitUntil) -> Iterator[Start]:
    """Start a provisioner of the process runtime that answers; all of it ends with the test."""
    children = []
    directory = tmp_path / "replicas"
    environment = {
        "PROVISIONER_RUNTIME": "process",
        "PROVISIONER_SOCKET": str(path),
        "PROVISIONER_DIRECTORY": str(directory),
    }

    def start_one() -> subprocess.Popen[str]:
        child = run_provisioner(environment)
        children.append(child)
        wait_until(lambda: call(path, "GET", "/healthz")[0] == 200)
        return child

    yield start_one
    for child in children:
        child.kill()
        child.communicate()
    runtime = ProcessRuntime(directory)
    for replica in runtime.list():
        runtime.remove(Hostname(replica.hostname), grace_s=0)


def run_provisioner(environment: dict[str, str]) -> "subprocess.Popen[str]":
    command = [sys.executable, "-I", "-m", "provisioner"]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def put(call: Call, path: Path, number: int) -> dict[str, Any]:
    status, replica = call(path, "PUT", f"/replicas/Server{number}", {"server_id": number})
    assert 201 == status
    return replica


def test_a_replica_can_be_made_and_asked(
    start: Start, path: Path, call: Call, ask: Callable[[str], str], wait_until: WaitUntil
) -> None:
    """From PUT to the greeting, over the socket and over HTTP."""
    start()
    replica = put(call, path, 1)
    wait_until(lambda: "Hello from Server: Server1" in ask(replica["address"]))
    assert (200, {"replicas": [replica]}) == call(path, "GET", "/replicas")


def test_term_ends_it_and_leaves_the_replicas(start: Start, path: Path, call: Call) -> None:
    """SIGTERM: exit code 0, the socket gone, the replicas running for the next one."""
    child = start()
    replica = put(call, path, 1)
    child.terminate()
    child.communicate(timeout=15)
    assert (0, False) == (child.returncode, path.exists())
    start()
    assert (200, {"replicas": [replica]}) == call(path, "GET", "/replicas")


def test_after_a_kill_the_next_one_adopts(
    start: Start, path: Path, call: Call, ask: Callable[[str], str], wait_until: WaitUntil
) -> None:
    """SIGKILL: the next provisioner takes the stale socket, and runs what runs, paused or dead."""
    child = start()
    running, paused, exited = (put(call, path, number) for number in (1, 2, 3))
    call(path, "POST", "/replicas/Server2/pause")
    call(path, "POST", "/replicas/Server3/kill")
    child.kill()
    child.wait()
    start()
    paused |= {"state": "paused"}
    exited |= {"state": "exited", "address": None}
    assert [running, paused, exited] == call(path, "GET", "/replicas")[1]["replicas"]
    assert (204, None) == call(path, "POST", "/replicas/Server2/resume")
    wait_until(lambda: "Server2" in ask(paused["address"]))
    assert (204, None) == call(path, "DELETE", "/replicas/Server1")
    fresh = put(call, path, 3)
    listed = call(path, "GET", "/replicas")[1]["replicas"]
    assert [paused | {"state": "running"}, fresh] == listed


def test_a_second_one_is_refused(start: Start, path: Path, call: Call) -> None:
    """On a socket that is served a second provisioner does not start, and says why."""
    start()
    second = run_provisioner(
        {
            "PROVISIONER_RUNTIME": "process",
            "PROVISIONER_SOCKET": str(path),
            "PROVISIONER_DIRECTORY": str(path.with_name("second")),
        }
    )
    _, errors = second.communicate(timeout=15)
    assert 1 == second.returncode
    assert f"another process serves on {path}" in errors
    assert (200, {"runtime": "process"}) == call(path, "GET", "/healthz")


def test_puts_of_one_name_at_once_leave_one(
    start: Start, path: Path, call: Call, wait_until: WaitUntil
) -> None:
    """Of eight replicas made under one name at the same time seven are gone, without a zombie."""
    child = start()
    made = []
    threads = [threading.Thread(target=lambda: made.append(put(call, path, 1))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 8 == len({replica["address"] for replica in made})
    [left] = call(path, "GET", "/replicas")[1]["replicas"]
    assert left in made
    children = Path(f"/proc/{child.pid}/task").glob("*/children")
    wait_until(lambda: len(" ".join(file.read_text() for file in children).split()) == 1)


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        ({"PROVISIONER_RUNTIME": "vm"}, "runtime"),
        ({"PROVISIONER_RUNTIME": "docker"}, "PROVISIONER_IMAGE"),
        ({"PROVISIONER_RUNTIME": "process", "PROVISIONER_DIRECTORY": "/dev/null/x"}, "/dev/null"),
    ],
)
def test_what_cannot_work_does_not_start(environment: dict[str, str], complaint: str) -> None:
    """A setting that cannot work ends the start with its name, and without a trace."""
    child = run_provisioner(environment)
    _, errors = child.communicate(timeout=15)
    assert 1 == child.returncode
    assert complaint in errors
    assert "Traceback" not in errors


def test_without_an_engine_it_serves_and_says_so(
    path: Path, call: Call, wait_until: WaitUntil
) -> None:
    """The docker runtime without an engine: healthz and list are 503 of the one shape."""
    child = run_provisioner(
        {
            "PROVISIONER_SOCKET": str(path),
            "PROVISIONER_IMAGE": "lab/replica:1",
            "PROVISIONER_NETWORK": "lab-backend",
            "DOCKER_HOST": f"unix://{path}.engine",
        }
    )
    try:
        wait_until(lambda: call(path, "GET", "/healthz")[0] == 503)
        status, body = call(path, "GET", "/replicas")
        assert (503, "failure") == (status, body["status"])
        assert body["message"].startswith("<Error> the engine does not answer")
    finally:
        os.kill(child.pid, signal.SIGTERM)
        child.communicate(timeout=15)
    assert 0 == child.returncode
