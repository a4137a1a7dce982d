"""The provisioner's HTTP calls, over a runtime that only remembers what it was told."""

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from provisioner import create_app
from provisioner.errors import (
    ProvisionerError,
    ReplicaUnknown,
    RuntimeRefused,
    RuntimeUnreachable,
    WrongState,
)
from provisioner.runtimes.base import Hostname, Replica, State

VERBS = ["kill", "pause", "resume"]


@dataclass
class FakeRuntime:
    """Remembers each change, and fails as it is told."""

    name: ClassVar[str] = "fake"
    replicas: list[Replica] = field(default_factory=list)
    changes: list[tuple[object, ...]] = field(default_factory=list)
    error: Exception | None = None
    during: Callable[[str], None] = lambda _: None
    """Called within each change, with its hostname."""

    def _change(self, *change: object) -> None:
        if self.error:
            raise self.error
        self.during(str(change[1]))
        self.changes.append(change)

    def check(self) -> None:
        if self.error:
            raise self.error

    def list(self) -> Sequence[Replica]:
        self.check()
        return self.replicas

    def create_or_replace(self, hostname: Hostname, server_id: int) -> Replica:
        self._change("create_or_replace", hostname, server_id)
        return Replica(hostname, server_id, "172.18.0.4:5000", State.RUNNING)

    def remove(self, hostname: Hostname, *, grace_s: int) -> None:
        self._change("remove", hostname, grace_s)

    def kill(self, hostname: Hostname) -> None:
        self._change("kill", hostname)

    def pause(self, hostname: Hostname) -> None:
        self._change("pause", hostname)

    def resume(self, hostname: Hostname) -> None:
        self._change("resume", hostname)


@pytest.fixture
def runtime() -> FakeRuntime:
    return FakeRuntime()


@pytest.fixture
def client(runtime: FakeRuntime) -> FlaskClient:
    return create_app(runtime).test_client()


def is_failure(body: object) -> bool:
    """Whether a body has the one shape of errors."""
    match body:
        case {"message": str(message), "status": "failure", **rest}:
            return message.startswith("<Error> ") and not rest
    return False


def test_list_is_in_order_of_ids(client: FlaskClient, runtime: FakeRuntime) -> None:
    """Replicas come by id, then by hostname, each with its four fields."""
    runtime.replicas = [
        Replica("Server10", 10, None, State.EXITED),
        Replica("b", 2, "172.18.0.5:5000", State.PAUSED),
        Replica("a", 2, "172.18.0.4:5000", State.RUNNING),
    ]
    response = client.get("/replicas")
    assert 200 == response.status_code
    assert {
        "replicas": [
            {"hostname": "a", "server_id": 2, "address": "172.18.0.4:5000", "state": "running"},
            {"hostname": "b", "server_id": 2, "address": "172.18.0.5:5000", "state": "paused"},
            {"hostname": "Server10", "server_id": 10, "address": None, "state": "exited"},
        ]
    } == response.json


def test_put_makes_a_replica(client: FlaskClient, runtime: FakeRuntime) -> None:
    """PUT hands name and id on and answers 201 with the replica."""
    response = client.put("/replicas/Server3", json={"server_id": 3})
    assert [("create_or_replace", "Server3", 3)] == runtime.changes
    assert (
        201,
        {"hostname": "Server3", "server_id": 3, "address": "172.18.0.4:5000", "state": "running"},
    ) == (response.status_code, response.json)


@pytest.mark.parametrize(("query", "grace_s"), [("", 2), ("?grace_s=0", 0), ("?grace_s=60", 60)])
def test_delete_removes_with_grace(
    client: FlaskClient, runtime: FakeRuntime, query: str, grace_s: int
) -> None:
    """DELETE answers 204; its grace is 2 s unless the query says otherwise."""
    response = client.delete(f"/replicas/Server3{query}")
    assert (204, b"") == (response.status_code, response.data)
    assert [("remove", "Server3", grace_s)] == runtime.changes


@pytest.mark.parametrize("verb", VERBS)
def test_faults_are_injected(client: FlaskClient, runtime: FakeRuntime, verb: str) -> None:
    """Each verb reaches the runtime and answers 204."""
    response = client.post(f"/replicas/Server3/{verb}")
    assert (204, b"") == (response.status_code, response.data)
    assert [(verb, "Server3")] == runtime.changes


def test_healthz_names_the_runtime(client: FlaskClient) -> None:
    """A runtime that answers is named."""
    response = client.get("/healthz")
    assert (200, {"runtime": "fake"}) == (response.status_code, response.json)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ReplicaUnknown("Server3"), 404),
        (WrongState("Server3", state="paused", wanted="running"), 409),
        (RuntimeRefused("No such image"), 502),
        (RuntimeUnreachable("the engine does not answer"), 503),
    ],
)
def test_errors_keep_their_status_and_words(
    client: FlaskClient, runtime: FakeRuntime, error: ProvisionerError, status: int
) -> None:
    """What a runtime raises is told in its own words, with its own status, in the one shape."""
    runtime.error = error
    response = client.post("/replicas/Server3/kill")
    assert (
        status,
        {"message": f"<Error> {error}", "status": "failure"},
    ) == (response.status_code, response.json)


def test_a_bug_is_told_without_its_insides(client: FlaskClient, runtime: FakeRuntime) -> None:
    """An exception nobody foresaw is a 500 of the one shape, without a trace."""
    runtime.error = KeyError("secret")
    response = client.get("/replicas")
    assert (500, True) == (response.status_code, is_failure(response.json))
    assert "secret" not in response.text


@pytest.mark.parametrize(
    ("method", "target", "body", "content_type", "status"),
    [
        ("GET", "/", b"", None, 404),
        ("GET", "/replicas/", b"", None, 404),
        ("GET", "//replicas", b"", None, 404),
        ("POST", "/replicas/Server1/stop", b"", None, 404),
        ("DELETE", "/replicas", b"", None, 405),
        ("GET", "/replicas/Server1/kill", b"", None, 405),
        ("PUT", "/replicas/Server1", b'{"server_id": 1}', "text/plain", 415),
        ("PUT", "/replicas/Server1", b"", None, 415),
        ("PUT", "/replicas/Server1", b'{"server_id": 1', "application/json", 400),
        ("PUT", "/replicas/Server1", b"\xff", "application/json", 400),
        ("PUT", "/replicas/Server1", b" " * 70_000, "application/json", 413),
    ],
)
def test_flasks_own_refusals_have_the_shape(
    client: FlaskClient,
    runtime: FakeRuntime,
    method: str,
    target: str,
    body: bytes,
    content_type: str | None,
    status: int,
) -> None:
    """Unknown paths, wrong methods, types, sizes and broken JSON: one shape, nothing changed."""
    response = client.open(target, method=method, data=body, content_type=content_type)
    assert (status, True) == (response.status_code, is_failure(response.json))
    assert [] == runtime.changes


def test_a_wrong_method_is_told_the_right_ones(client: FlaskClient) -> None:
    """405 comes with Allow (RFC 9110, section 15.5.6)."""
    allowed = client.get("/replicas/Server1").headers["Allow"]
    assert {"PUT", "DELETE", "OPTIONS"} == set(allowed.split(", "))


@pytest.mark.parametrize(
    "body",
    [{}, [], None, 3, {"server_id": 1, "image": "evil"}]
    + [{"server_id": wrong} for wrong in (-1, 2**31, 1.0, True, "1", None, [1])],
)
def test_a_body_must_be_one_id(client: FlaskClient, runtime: FakeRuntime, body: object) -> None:
    """Anything but {"server_id": 0 to 2³¹-1} is a 400 that names what is accepted."""
    text = json.dumps(body)
    response = client.put("/replicas/Server1", data=text, content_type="application/json")
    assert (400, True) == (response.status_code, is_failure(response.json))
    assert '{"server_id": 0 to 2147483647}' in response.json["message"]
    assert [] == runtime.changes


@pytest.mark.parametrize("grace_s", ["-1", "61", "1.5", "", "x", "²", "9" * 5000])
def test_grace_must_be_in_range(client: FlaskClient, runtime: FakeRuntime, grace_s: str) -> None:
    """A grace that is no integer from 0 to 60 is a 400 that says so."""
    response = client.delete("/replicas/Server1", query_string={"grace_s": grace_s})
    assert (400, True) == (response.status_code, is_failure(response.json))
    assert "grace_s must be 0 to 60" in response.json["message"]
    assert [] == runtime.changes


LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def is_hostname(text: str) -> bool:
    """RFC 1123's label, said without a regular expression."""
    return (
        1 <= len(text) <= 63
        and set(text) <= {*LETTERS, "-"}
        and not text.startswith("-")
        and not text.endswith("-")
    )


@given(
    name=st.text(max_size=70)
    | st.text(alphabet=f"{LETTERS}-", max_size=70)
    | st.text(alphabet="a-./\\%\n\0", max_size=8)
)
@example(name="Server1\n")
@example(name="..")
@example(name="../Server1")
@example(name="a" * 63)
@example(name="a" * 64)
@example(name="Sérver1")
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_only_hostnames_reach_the_runtime(
    client: FlaskClient, runtime: FakeRuntime, name: str
) -> None:
    """A call with a hostname changes what it says; any other name changes nothing: a 4xx."""
    runtime.changes.clear()
    path = f"/replicas/{quote(name, safe='')}"
    responses = [
        client.put(path, json={"server_id": 1}),
        client.delete(path),
        *(client.post(f"{path}/{verb}") for verb in VERBS),
    ]
    if is_hostname(name):
        assert {name} == {change[1] for change in runtime.changes}
        assert [201, 204, 204, 204, 204] == [response.status_code for response in responses]
    else:
        assert [] == runtime.changes
        assert all(400 <= response.status_code < 500 for response in responses)
        assert all(is_failure(response.json) for response in responses)


def test_calls_for_one_name_wait_for_each_other(runtime: FakeRuntime) -> None:
    """Never are two changes to one hostname under way at once."""
    app = create_app(runtime)
    inside = threading.Semaphore(1)
    overlaps = []

    def during(hostname: str) -> None:
        if not inside.acquire(blocking=False):
            overlaps.append(hostname)
            return
        threading.Event().wait(0.02)  # long enough for the others to come in, if they could
        inside.release()

    runtime.during = during
    run_at_once([lambda: app.test_client().post("/replicas/Server1/kill") for _ in range(5)])
    assert ([], 5) == (overlaps, len(runtime.changes))


def test_calls_for_different_names_do_not_wait(runtime: FakeRuntime) -> None:
    """Changes to different hostnames are under way at once."""
    app = create_app(runtime)
    together = threading.Barrier(3, timeout=10)
    runtime.during = lambda _: together.wait() and None
    names = ["Server1", "Server2", "Server3"]
    run_at_once([lambda name=name: app.test_client().delete(f"/replicas/{name}") for name in names])
    assert names == sorted(change[1] for change in runtime.changes)


def test_a_failed_call_gives_its_lock_back(client: FlaskClient, runtime: FakeRuntime) -> None:
    """After an error the same name can be called again."""
    runtime.error = RuntimeRefused("no")
    assert 502 == client.post("/replicas/Server1/kill").status_code
    runtime.error = None
    assert 204 == client.post("/replicas/Server1/kill").status_code


@pytest.mark.parametrize(
    ("method", "target", "num_lines"),
    [
        ("POST", "/replicas/Server1/kill", 1),
        ("POST", "/replicas/a%0Ab/kill", 1),
        ("GET", "/none", 1),
        ("GET", "/replicas", 0),
        ("GET", "/healthz", 0),
    ],
)
def test_one_line_for_each_operation(
    client: FlaskClient,
    caplog: pytest.LogCaptureFixture,
    method: str,
    target: str,
    num_lines: int,
) -> None:
    """Changes and failures leave one line, whatever the name holds; reads leave none."""
    caplog.set_level("INFO", "provisioner")
    client.open(target, method=method)
    assert num_lines == len(caplog.text.splitlines())


def run_at_once(jobs: list[Callable[[], object]]) -> None:
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
