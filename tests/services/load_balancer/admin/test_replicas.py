"""The classic assignment's calls, to the letter, and PUT /rep."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from flask.testing import FlaskClient

if TYPE_CHECKING:
    from .conftest import Lab

Failure = Callable[[Any], str]

REPLICAS = ["Server1", "Server2", "Server3"]


def answer(*replicas: str) -> dict[str, object]:
    return {
        "message": {"N": len(replicas), "replicas": list(replicas)},
        "status": "successful",
    }


def test_rep(client: FlaskClient) -> None:
    """N and the replicas."""
    response = client.get("/rep")
    assert (response.status_code, response.content_type) == (200, "application/json")
    assert response.json == answer(*REPLICAS)


def test_add(client: FlaskClient) -> None:
    """The assignment's own example: old names, then new."""
    response = client.post("/add", json={"n": 4, "hostnames": ["S5", "S4", "S10", "S11"]})
    assert response.status_code == 200
    assert response.json == answer(*REPLICAS, "S5", "S4", "S10", "S11")
    assert client.get("/rep").json == response.json


@pytest.mark.parametrize("body", [{"n": 2}, {"n": 2, "hostnames": []}, {"n": 2, "hostnames": None}])
def test_add_without_names(client: FlaskClient, body: dict[str, object]) -> None:
    """hostnames is optional; the unnamed get random names."""
    response = client.post("/add", json=body)
    assert response.status_code == 200
    replicas = response.json["message"]["replicas"]
    assert replicas[:3] == REPLICAS
    assert len(set(replicas)) == response.json["message"]["N"] == 5


def test_rm(client: FlaskClient) -> None:
    """The named ones leave, and others to make up n."""
    response = client.delete("/rm", json={"n": 2, "hostnames": ["Server2"]})
    assert response.status_code == 200
    replicas = response.json["message"]["replicas"]
    assert response.json == answer(*replicas)
    assert len(replicas) == 1
    assert replicas[0] in ("Server1", "Server3")
    assert client.get("/rep").json == response.json


def test_put(client: FlaskClient) -> None:
    """Exactly these, in this order; again, and nothing changes."""
    for _ in range(2):
        response = client.put("/rep", json={"hostnames": ["Server4", "Server2"]})
        assert (response.status_code, response.json) == (200, answer("Server4", "Server2"))
    assert client.get("/rep").json == answer("Server4", "Server2")


def test_put_of_nobody(client: FlaskClient) -> None:
    """N may be 0."""
    assert client.put("/rep", json={"hostnames": []}).json == answer()


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("POST", "/add", "Length of hostname list is more than newly added instances"),
        ("DELETE", "/rm", "Length of hostname list is more than removable instances"),
    ],
)
def test_more_names_than_n(client: FlaskClient, method: str, path: str, message: str) -> None:
    """The assignment's own words."""
    response = client.open(path, method=method, json={"n": 1, "hostnames": ["Server1", "S2"]})
    assert response.status_code == 400
    assert response.json == {"message": f"<Error> {message}", "status": "failure"}


# Bad input. Every one has the one shape, names what was wrong and what is accepted, and changes
# nothing.

BAD_COUNTS = [0, -1, "2", True, 2.0, 2.5, None, [1], {"a": 1}, float("nan")]
BAD_NAMES: list[tuple[object, str]] = [
    ("S5", "'S5'"),
    ({"S5": 1}, "{'S5': 1}"),
    ([5], "[5]"),
    (["S5", None], "['S5', None]"),
    (7, "7"),
]
BAD_HOSTNAMES = ["", "a_b", "-a", "a-", "a.b", "a/b", "ä", "a b", "a" * 64, "../x", "\ud800"]
BAD_BODIES = [b"", b"{", b"nonsense", b"\xff", b"[" * 50_000, b'{"n": ' + b"1" * 5000 + b"}"]
NO_OBJECTS = [b"[]", b"1", b'"n"', b"true"]
CALLS = [("POST", "/add"), ("DELETE", "/rm"), ("PUT", "/rep")]


@pytest.fixture
def refused(client: FlaskClient, failure: Failure) -> Callable[..., str]:
    """The message of a call that must be refused with a status, and must change nothing."""

    def call(status: int, method: str, path: str, body: object) -> str:
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        response = client.open(path, method=method, data=body, content_type="application/json")
        assert response.status_code == status
        assert client.get("/rep").json == answer(*REPLICAS)
        return failure(response)

    return call


@pytest.mark.parametrize(("method", "path"), CALLS[:2])
@pytest.mark.parametrize("n", BAD_COUNTS, ids=repr)
def test_bad_counts(refused: Callable[..., str], method: str, path: str, n: object) -> None:
    """n is an integer from 1."""
    message = refused(400, method, path, {"n": n, "hostnames": []})
    assert message == f"n must be an integer >= 1, got {n!r}"


@pytest.mark.parametrize(("method", "path"), CALLS[:2])
def test_missing_count(refused: Callable[..., str], method: str, path: str) -> None:
    """It has no default."""
    for body in ({"hostnames": ["S5"]}, {}, None):
        assert refused(400, method, path, body) == "n: Field required"


@pytest.mark.parametrize(
    ("method", "path", "status"), [("POST", "/add", 409), ("DELETE", "/rm", 400)]
)
def test_too_many(refused: Callable[..., str], method: str, path: str, status: int) -> None:
    """More than there may be, or than there are; how many that is, is told."""
    message = refused(status, method, path, {"n": 10**9})
    assert "n must be at most" in message
    assert "got 1000000000" in message


@pytest.mark.parametrize(("method", "path"), CALLS)
@pytest.mark.parametrize(("hostnames", "shown"), BAD_NAMES)
def test_bad_names(
    refused: Callable[..., str], method: str, path: str, hostnames: object, shown: str
) -> None:
    """hostnames is a list of strings."""
    count = {} if path == "/rep" else {"n": 3}
    message = refused(400, method, path, {"hostnames": hostnames, **count})
    assert message == f"hostnames must be a list of strings, got {shown}"


@pytest.mark.parametrize(("method", "path"), CALLS)
@pytest.mark.parametrize("hostname", BAD_HOSTNAMES, ids=ascii)
def test_bad_hostnames(refused: Callable[..., str], method: str, path: str, hostname: str) -> None:
    """Each is one label of a host name."""
    count = {} if path == "/rep" else {"n": 3}
    good = "S5" if path == "/add" else "Server1"
    message = refused(400, method, path, {"hostnames": [good, hostname], **count})
    assert message.startswith("hostname must be 1 to 63 letters, digits and inner hyphens, got ")
    assert message.endswith(repr(hostname))


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_doubled_names(refused: Callable[..., str], method: str, path: str) -> None:
    """One name is one replica."""
    count = {} if path == "/rep" else {"n": 3}
    name = "Server1" if path == "/rm" else "S5"
    message = refused(400, method, path, {"hostnames": [name, name], **count})
    assert message == f"hostname {name!r} is given twice"


def test_names_that_are_taken(refused: Callable[..., str]) -> None:
    """In any case: host names ignore it."""
    for name in ("Server1", "SERVER1"):
        message = refused(409, "POST", "/add", {"n": 2, "hostnames": ["S5", name]})
        assert message == f"hostname {name!r} is already present, as 'Server1'"


def test_names_of_nobody(refused: Callable[..., str]) -> None:
    """Those that there are, are told."""
    message = refused(404, "DELETE", "/rm", {"n": 2, "hostnames": ["Server1", "S5"]})
    assert message == "hostname 'S5' is no replica; there are: Server1, Server2, Server3"


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_unknown_fields(refused: Callable[..., str], method: str, path: str) -> None:
    """A misspelt field is not passed over."""
    message = refused(
        400, method, path, {"n": 1, "hostname": ["S5"]} if path != "/rep" else {"N": 1}
    )
    accepted = "hostnames" if path == "/rep" else "n, hostnames"
    got = "'N'" if path == "/rep" else "'hostname'"
    assert message == f"accepted are {accepted}, got {got}"


@pytest.mark.parametrize(("method", "path"), CALLS)
@pytest.mark.parametrize("body", BAD_BODIES, ids=lambda body: repr(body[:12]))
def test_no_json(refused: Callable[..., str], method: str, path: str, body: bytes) -> None:
    """Whatever is wrong with it."""
    assert refused(400, method, path, body) == "the body must be JSON"


@pytest.mark.parametrize(("method", "path"), CALLS)
@pytest.mark.parametrize("body", NO_OBJECTS)
def test_no_object(refused: Callable[..., str], method: str, path: str, body: bytes) -> None:
    """JSON, and not what is wanted."""
    accepted = "hostnames" if path == "/rep" else "n, hostnames"
    message = refused(400, method, path, body)
    shown = repr(json.loads(body))
    assert message == f"the body must be a JSON object with {accepted}, got {shown}"


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_a_megabyte(refused: Callable[..., str], method: str, path: str) -> None:
    """413; the data plane says it in better words before it comes to this."""
    refused(413, method, path, b'{"n": 1, "hostnames": ["%b"]}' % (b"a" * 1_000_000))


def test_long_values_are_shown_short(refused: Callable[..., str]) -> None:
    """An error message is for people."""
    message = refused(400, "POST", "/add", {"n": "9" * 10_000})
    assert message == f"n must be an integer >= 1, got '{'9' * 76}..."


# Servers that are not ours


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/add", {"n": 1}),
        ("DELETE", "/rm", {"n": 1}),
        ("PUT", "/rep", {"hostnames": ["A"]}),
    ],
)
def test_servers_that_are_not_ours(
    make_lab: Callable[..., Lab], failure: Failure, method: str, path: str, body: dict[str, object]
) -> None:
    """409 and why; /rep shows them."""
    client = make_lab(replica=("A=127.0.0.1:1", "B=127.0.0.1:2")).client
    assert client.get("/rep").json == answer("A", "B")
    response = client.open(path, method=method, json=body)
    assert response.status_code == 409
    assert "started with --replica, in front of servers" in failure(response)


def test_a_full_ring(make_lab: Callable[..., Lab], failure: Failure) -> None:
    """409 names the capacity, and adds nobody."""
    client = make_lab(preset="seed-deployed").client
    response = client.post("/add", json={"n": 4})
    assert response.status_code == 409
    assert "at most 6 nodes" in failure(response)
    assert client.get("/rep").json == answer(*REPLICAS)
