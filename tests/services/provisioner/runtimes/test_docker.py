"""What only the docker runtime promises, on the wire: the real SDK against a scripted engine.

The engine's side is a server on a Unix socket that keeps containers in a dict, records each call,
and can be told to refuse, to hang, to be gone, or to ignore filters, as no real one would.
"""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from provisioner.errors import ReplicaUnknown, RuntimeRefused, RuntimeUnreachable, WrongState
from provisioner.runtimes import docker as docker_runtime
from provisioner.runtimes.base import Replica, State, parse_hostname
from provisioner.runtimes.docker import ContainerSpec, DockerRuntime

WaitUntil = Callable[[Callable[[], object]], None]
NAME = parse_hostname("Server1")
SPEC = ContainerSpec("lab", "lab/replica:1", "lab-backend", "128m", 64)
LABELS = {
    "ringlab.lab": "lab",
    "ringlab.role": "replica",
    "ringlab.hostname": "Server1",
    "ringlab.server_id": "1",
}


STATES_AFTER = {
    "start": "running",
    "unpause": "running",
    "pause": "paused",
    "kill": "exited",
    "stop": "exited",
}


@dataclass
class Engine:
    """A scripted engine: its containers, what it was asked, how it misbehaves."""

    path: Path
    containers: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Verb to status and message, for calls that the engine refuses."""
    refusals_left: int = 1000
    ignores_filters: bool = False
    ip: str = "172.18.0.4"
    hangs: dict[str, threading.Event] = field(default_factory=dict)
    """Verb to what its answer waits for."""

    connections: list[socket.socket] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"unix://{self.path}"

    def add(self, container_id: str, labels: dict[str, str], state: str = "running") -> None:
        self.containers[container_id] = {"Id": container_id, "Labels": labels, "State": state}

    def hang_up(self) -> None:
        """Close all connections, as an engine that ends does."""
        for connection in self.connections:
            connection.shutdown(socket.SHUT_RDWR)

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, object]:
        """Status and JSON of the answer to one call."""
        split = urlsplit(target)
        path = split.path.removeprefix("/v1.41").strip("/").split("/")
        verb = "remove" if method == "DELETE" else path[-1]
        if verb != "version":
            self.calls.append((verb, path[1] if len(path) > 2 or verb == "remove" else ""))
        if verb in self.hangs:
            self.hangs[verb].wait()
        if verb == "version":
            return 200, {"ApiVersion": "1.41"}
        if verb in self.refusals and self.refusals_left:
            self.refusals_left -= 1
            status, message = self.refusals[verb]
            return status, {"message": message}
        if path == ["containers", "json"]:
            return 200, self._list(json.loads(parse_qs(split.query)["filters"][0])["label"])
        if path == ["containers", "create"]:
            self.bodies.append(json.loads(body))
            self.add("fresh", self.bodies[-1]["Labels"], "created")
            return 201, {"Id": "fresh"}
        if verb == "remove":
            del self.containers[path[1]]
            return 204, None
        if verb == "json":
            networks = {"lab-backend": {"IPAddress": self.ip}}
            return 200, {"NetworkSettings": {"Networks": networks}, "State": {"ExitCode": 3}}
        self.containers[path[1]]["State"] = STATES_AFTER[verb]
        return 204, None

    def _list(self, labels: list[str]) -> list[dict[str, Any]]:
        networks = {"Networks": {"lab-backend": {"IPAddress": self.ip}}}
        wanted = dict(label.split("=") for label in labels)
        return [
            {**container, "NetworkSettings": networks}
            for container in self.containers.values()
            if self.ignores_filters or wanted.items() <= container["Labels"].items()
        ]


@contextmanager
def serve(engine: Engine) -> Iterator[None]:
    """Serve an engine on its Unix socket, a thread for each connection."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            engine.connections.append(self.connection)

        def handle_call(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            status, answer = engine.answer(self.command, self.path, self.rfile.read(length))
            payload = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            with suppress(BrokenPipeError):  # the client has given up
                self.end_headers()
                self.wfile.write(payload)

        do_GET = do_POST = do_DELETE = handle_call

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingUnixStreamServer):
        daemon_threads = True
        request_queue_size = 64

    with Server(str(engine.path), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield
        server.shutdown()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """A scripted engine, served."""
    engine = Engine(tmp_path / "engine.sock")
    with serve(engine):
        yield engine


@pytest.fixture
def runtime(engine: Engine) -> DockerRuntime:
    return DockerRuntime(engine.url, SPEC)


def test_a_replica_is_confined(engine: Engine, runtime: DockerRuntime) -> None:
    """The whole of what a container may do stands in the one request that makes it."""
    assert "172.18.0.4:5000" == runtime.create_or_replace(NAME, 3).address
    [body] = engine.bodies
    asked = {key: value for key, value in body.items() if value not in (None, False)}
    assert {
        "Image": "lab/replica:1",
        "Hostname": "Server1",
        "Env": ["SERVER_ID=Server1"],
        "Labels": LABELS | {"ringlab.server_id": "3"},
        "HostConfig": {
            "NetworkMode": "lab-backend",
            "ReadonlyRootfs": True,
            "Tmpfs": {"/tmp": "rw,noexec,nosuid,nodev,size=16m,mode=1777"},
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges:true"],
            "Memory": 128 * 1024**2,
            "MemorySwap": 128 * 1024**2,
            "PidsLimit": 64,
            "RestartPolicy": {"Name": "no"},
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "1"}},
        },
        "NetworkingConfig": {"EndpointsConfig": {"lab-backend": {"Aliases": ["Server1"]}}},
    } == asked


def test_replacing_takes_five_calls(engine: Engine, runtime: DockerRuntime) -> None:
    """One look-up, then remove, create, start, and one question for the address."""
    engine.add("old", LABELS, "exited")
    runtime.create_or_replace(NAME, 1)
    assert [
        ("json", ""),
        ("remove", "old"),
        ("create", ""),
        ("start", "fresh"),
        ("json", "fresh"),
    ] == engine.calls


@pytest.mark.parametrize(
    ("word", "state", "address"),
    [
        ("running", State.RUNNING, "172.18.0.4:5000"),
        ("paused", State.PAUSED, "172.18.0.4:5000"),
        ("exited", State.EXITED, None),
        ("created", State.EXITED, None),
        ("dead", State.EXITED, None),
    ],
)
def test_the_engines_words_become_ours(
    engine: Engine, runtime: DockerRuntime, word: str, state: State, address: str | None
) -> None:
    """Whatever neither runs nor is paused serves no more: it has exited."""
    engine.add("old", LABELS, word)
    assert [Replica("Server1", 1, address, state)] == list(runtime.list())


@given(
    labels=st.dictionaries(
        st.sampled_from([*LABELS, "other"]),
        st.sampled_from(["lab", "replica", "Server1", "1", "Server10", "lab2", ""]),
    ),
    verb=st.sampled_from(["create_or_replace", "remove", "kill", "pause", "resume", "list"]),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_call_touches_a_stranger(
    engine: Engine, runtime: DockerRuntime, labels: dict[str, str], verb: str
) -> None:
    """Whatever labels a stranger bears, and even if the engine does not filter: it is let alone."""
    assume(not all(labels.get(key) == LABELS[key] for key in list(LABELS)[:3]))
    engine.containers.clear()
    engine.ignores_filters = True
    engine.add("stranger", labels)
    engine.calls.clear()
    arguments = {"create_or_replace": (NAME, 1), "list": ()}.get(verb, (NAME,))
    options = {"grace_s": 1} if verb == "remove" else {}
    with suppress(ReplicaUnknown):
        getattr(runtime, verb)(*arguments, **options)
    assert [] == [call for call in engine.calls if call[1] == "stranger"]
    assert "running" == engine.containers["stranger"]["State"]


def test_a_refusal_is_told_in_the_engines_words(engine: Engine, runtime: DockerRuntime) -> None:
    """An image that is not there is the engine's refusal, not an unknown replica."""
    engine.refusals["create"] = (404, "No such image: lab/replica:1")
    with pytest.raises(RuntimeRefused, match="No such image: lab/replica:1"):
        runtime.create_or_replace(NAME, 1)


@pytest.mark.parametrize("refusal", ["start", "json"])
def test_a_container_that_does_not_start_is_removed(
    engine: Engine, runtime: DockerRuntime, refusal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a refused start nor a death at once leaves a container behind."""
    if refusal == "start":
        engine.refusals["start"] = (500, "no space left")
    else:
        monkeypatch.setattr(engine, "ip", "")
    with pytest.raises(RuntimeRefused, match=r"no space left|ended at once, code 3"):
        runtime.create_or_replace(NAME, 1)
    assert {} == engine.containers


def test_what_vanishes_meanwhile_counts_as_removed(engine: Engine, runtime: DockerRuntime) -> None:
    """Somebody else removing a replica first is no error."""
    engine.add("old", LABELS)
    engine.refusals |= {"stop": (404, "gone"), "remove": (404, "gone")}
    runtime.remove(NAME, grace_s=1)
    assert ("remove", "old") in engine.calls


@pytest.mark.parametrize(
    ("state", "grace_s", "verbs"),
    [
        ("running", 2, ["stop", "remove"]),
        ("running", 0, ["remove"]),
        ("paused", 2, ["remove"]),
        ("exited", 2, ["remove"]),
    ],
)
def test_grace_is_for_those_who_can_use_it(
    engine: Engine, runtime: DockerRuntime, state: str, grace_s: int, verbs: list[str]
) -> None:
    """Only a running replica is asked to end; the frozen and the dead are removed at once."""
    engine.add("old", LABELS, state)
    runtime.remove(NAME, grace_s=grace_s)
    assert verbs == [verb for verb, _ in engine.calls if verb != "json"]


def test_a_state_that_changes_meanwhile_is_the_engines_refusal(
    engine: Engine, runtime: DockerRuntime
) -> None:
    """Between look-up and kill a replica can end by itself."""
    engine.add("old", LABELS)
    engine.refusals["kill"] = (409, "is not running")
    with pytest.raises(RuntimeRefused, match="is not running"):
        runtime.kill(NAME)
    with pytest.raises(WrongState):
        runtime.resume(NAME)


@pytest.mark.parametrize(
    ("num_failures", "message", "num_calls", "state"),
    [
        (2, "runtime pause failed: unable to freeze", 3, "paused"),
        (9, "runtime pause failed: unable to freeze", 5, "running"),
        (2, "no space left", 1, "running"),
    ],
)
def test_a_freeze_is_tried_again(
    engine: Engine,
    runtime: DockerRuntime,
    num_failures: int,
    message: str,
    num_calls: int,
    state: str,
) -> None:
    """A process that is busy in the kernel is frozen a moment later; no other refusal repeats."""
    engine.add("old", LABELS)
    engine.refusals["pause"] = (500, message)
    engine.refusals_left = num_failures
    with nullcontext() if state == "paused" else pytest.raises(RuntimeRefused, match=message):
        runtime.pause(NAME)
    assert num_calls == engine.calls.count(("pause", "old"))
    assert state == engine.containers["old"]["State"]


def test_no_engine_is_unreachable() -> None:
    """Without an engine each call says so. (By TCP: the SDK leaks a refused Unix socket.)"""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    runtime = DockerRuntime(f"tcp://127.0.0.1:{port}", SPEC)
    for call in (runtime.check, runtime.list, lambda: runtime.create_or_replace(NAME, 1)):
        with pytest.raises(RuntimeUnreachable, match="the engine does not answer"):
            call()


def test_a_hanging_engine_is_unreachable(
    engine: Engine, runtime: DockerRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that accepts and stays silent is given up after the timeout."""
    monkeypatch.setattr(docker_runtime, "CHECK_TIMEOUT_S", 0.1)
    engine.hangs["version"] = threading.Event()
    started_s = time.monotonic()
    with pytest.raises(RuntimeUnreachable):
        runtime.check()
    assert time.monotonic() - started_s < 5
    engine.hangs["version"].set()


def test_a_restarted_engine_is_found_again(engine: Engine, runtime: DockerRuntime) -> None:
    """The kept connection to an engine that is gone is not the end: the next call is served."""
    engine.add("old", LABELS)
    before = runtime.list()
    num_connections = len(engine.connections)
    assert before == runtime.list()
    assert num_connections == len(engine.connections), "connections are kept"
    engine.hang_up()
    assert before == runtime.list()
    assert num_connections + 1 == len(engine.connections)


def test_each_thread_has_a_client_of_its_own(engine: Engine, runtime: DockerRuntime) -> None:
    """Eight threads at once get eight right answers."""
    engine.add("old", LABELS)
    answers: list[object] = []
    threads = [threading.Thread(target=lambda: answers.append(runtime.list())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [runtime.list()] * 8 == answers


def test_an_operation_under_way_is_finished(
    engine: Engine, tmp_path: Path, call: Callable[..., tuple[int, Any]], wait_until: WaitUntil
) -> None:
    """A provisioner that is told to end still gives the answer it owes, and then ends with 0."""
    path = tmp_path / "s"
    environment = {
        "PROVISIONER_SOCKET": str(path),
        "PROVISIONER_LAB": SPEC.lab,
        "PROVISIONER_IMAGE": SPEC.image,
        "PROVISIONER_NETWORK": SPEC.network,
        "DOCKER_HOST": engine.url,
    }
    engine.hangs["create"] = threading.Event()
    answers = []

    def put() -> None:
        answers.append(call(path, "PUT", "/replicas/Server1", {"server_id": 1}))

    with subprocess.Popen([sys.executable, "-I", "-m", "provisioner"], env=environment) as child:
        wait_until(lambda: call(path, "GET", "/healthz")[0] == 200)
        caller = threading.Thread(target=put)
        caller.start()
        wait_until(lambda: ("create", "") in engine.calls)
        child.terminate()
        engine.hangs["create"].set()
        caller.join()
        assert 0 == child.wait(timeout=10)
    assert [201] == [status for status, _ in answers]
    assert "running" == engine.containers["fresh"]["State"]
