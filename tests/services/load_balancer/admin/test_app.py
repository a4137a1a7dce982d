"""Who may call, and the one shape of every error."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from flask.testing import FlaskClient
from load_balancer.admin import app as app_module
from load_balancer.errors import (
    BadRequest,
    Conflict,
    LoadBalancerError,
    ProvisionerRefused,
    ProvisionerUnavailable,
    ReplicaNotAnswering,
    UnknownReplica,
)
from load_balancer.proxy.server import ADMIN_PATHS
from werkzeug.test import create_environ
from werkzeug.wrappers import Response

if TYPE_CHECKING:
    from .conftest import Lab

Failure = Callable[[Any], str]

CHANGING = [
    ("POST", "/add"),
    ("DELETE", "/rm"),
    ("PUT", "/rep"),
    ("POST", "/crash"),
    ("POST", "/pause"),
    ("POST", "/resume"),
    ("PUT", "/ring"),
]


# Host: DNS rebinding


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:5050", "127.0.0.1:5050", "[::1]:5050", "LOCALHOST:1"]
)
def test_this_machine_may_call(client: FlaskClient, host: str) -> None:
    """By any of its names, on any port."""
    assert client.get("/rep", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:5050",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "localhost@evil.example",
        "evil.example#localhost",
        "[::2]",
        "[:::]",
        "[1.2.3]",
        "[",
        "x",
        "",
    ],
)
def test_other_names_may_not(client: FlaskClient, failure: Failure, host: str) -> None:
    """A page whose name was rebound to this machine reaches us under its own name."""
    environ = create_environ("/rep") | {"HTTP_HOST": host}
    response = Response.from_app(client.application, environ)
    assert response.status_code == 403
    assert "Host must be one of 127.0.0.1, ::1, localhost, got " in failure(response)


def test_names_that_are_allowed(make_lab: Callable[..., Lab]) -> None:
    """The settings' and the address that is listened on."""
    client = make_lab(
        bind="192.0.2.1:5050", open_admin=True, allowed_hosts=("lab.example", "other")
    ).client
    for host, status in [("192.0.2.1:5050", 200), ("lab.example", 200), ("third", 403)]:
        assert client.get("/rep", headers={"Host": host}).status_code == status


# Origin and Content-Type: requests that a page makes behind its reader's back


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://localhost:8888", "http://localhost", "http://[", ""],
)
def test_other_origins_may_not(client: FlaskClient, failure: Failure, origin: str) -> None:
    """Not even another port of this machine: Jupyter's pages run anybody's code."""
    headers = {"Host": "localhost:5050", "Origin": origin}
    for method, path in [*CHANGING, ("GET", "/rep")]:
        response = client.open(path, method=method, headers=headers, json={"n": 1})
        assert response.status_code == 403
        assert failure(response) == f"Origin must be this server's, got {origin!r}"


def test_our_own_page_may(client: FlaskClient) -> None:
    """The dashboard names the origin that it came from."""
    headers = {"Host": "localhost:5050", "Origin": "http://localhost:5050"}
    assert client.post("/add", headers=headers, json={"n": 1}).status_code == 200


@pytest.mark.parametrize(
    "content_type",
    [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"],
)
def test_only_json_changes_anything(
    client: FlaskClient, failure: Failure, content_type: str | None
) -> None:
    """What any page's form can send is refused, 415."""
    for method, path in CHANGING:
        response = client.open(path, method=method, data=b'{"n": 1}', content_type=content_type)
        assert response.status_code == 415
        assert failure(response) == f"Content-Type must be application/json, got {content_type!r}"


def test_json_may_name_its_charset(client: FlaskClient) -> None:
    """As some clients do."""
    kind = "application/json; charset=utf-8"
    assert client.post("/add", data=b'{"n": 1}', content_type=kind).status_code == 200


def test_no_other_page_may_read(client: FlaskClient) -> None:
    """There is no leave for other origins in any answer."""
    for response in (client.get("/rep"), client.options("/add"), client.get("/nowhere")):
        assert not [name for name, _ in response.headers if name.startswith("Access-Control")]


# The token


@pytest.fixture
def guarded(make_lab: Callable[..., Lab]) -> FlaskClient:
    return make_lab(bind="0.0.0.0:5050", admin_token="sesame").client


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer Sesame",
        "Bearer xsesame",
        "Bearer sesame2",
        "Bearer s\xe9same",
        "sesame",
        basic("admin", "x"),
        basic("sesame", ""),
        "Basic nonsense",
    ],
)
def test_without_the_token(
    guarded: FlaskClient, failure: Failure, authorization: str | None
) -> None:
    """401 on every call, those that only read too; the token is not told."""
    headers = {} if authorization is None else {"Authorization": authorization}
    for method, path in [*CHANGING, *(("GET", path.decode()) for path in ADMIN_PATHS)]:
        response = guarded.open(path, method=method, headers=headers, json={"n": 1})
        assert response.status_code == 401
        assert "sesame" not in failure(response)
        assert response.headers["WWW-Authenticate"].lower().startswith("basic ")


def test_with_the_token(guarded: FlaskClient) -> None:
    """As programs send it, or as a browser's password."""
    for authorization in ("Bearer sesame", basic("", "sesame"), basic("anybody", "sesame")):
        response = guarded.get("/rep", headers={"Authorization": authorization})
        assert response.status_code == 200


# Errors


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("GET", "/dashboard/nowhere", 404), ("POST", "/rep", 405)],
)
def test_paths_and_methods(
    client: FlaskClient, failure: Failure, method: str, path: str, status: int
) -> None:
    """What does not exist has the one shape, too."""
    response = client.open(path, method=method, json={})
    assert response.status_code == status
    failure(response)
    if status == 405:
        assert {"GET", "PUT"} <= set(response.headers["Allow"].split(", "))


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BadRequest("x"), 400),
        (UnknownReplica("x"), 404),
        (Conflict("x"), 409),
        (ProvisionerRefused("x"), 502),
        (ProvisionerUnavailable("x"), 503),
        (ReplicaNotAnswering("x"), 503),
        (LoadBalancerError("x"), 500),
    ],
)
def test_each_error_has_its_status(
    lab: Lab, failure: Failure, error: LoadBalancerError, status: int
) -> None:
    """And its own words."""

    async def fail(*_: object) -> None:
        raise error

    lab.controller.add = fail  # type: ignore[method-assign]
    response = lab.client.post("/add", json={"n": 1})
    assert (response.status_code, failure(response)) == (status, "x")


def test_unexpected_errors(lab: Lab, failure: Failure, caplog: pytest.LogCaptureFixture) -> None:
    """The caller hears what, and no more; the log has the trace."""

    async def fail(*_: object) -> None:
        raise KeyError("secret")

    lab.controller.add = fail  # type: ignore[method-assign]
    with caplog.at_level(logging.ERROR, app_module.__name__):
        response = lab.client.post("/add", json={"n": 1})
    assert response.status_code == 500
    assert failure(response) == "unexpected KeyError; the log tells more"
    assert "Traceback" in caplog.text


# The contract


def test_the_contract_lists_every_path(client: FlaskClient) -> None:
    """/openapi.json has all that the data plane sends here, but itself and the page."""
    contract = client.get("/openapi.json").json
    expected = {path.decode() for path in ADMIN_PATHS} - {"/openapi.json", "/dashboard"}
    assert set(contract["paths"]) == expected
    assert contract["info"]["title"] == "ringlab"


def test_the_contract_lists_every_call(client: FlaskClient) -> None:
    """With what it takes and answers, in words."""
    paths = client.get("/openapi.json").json["paths"]
    calls = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    reading = {("GET", path) for path in ("/rep", "/ring", "/route", "/events", "/metrics")}
    assert calls == {*CHANGING, *reading}
    for method, path in calls:
        call = paths[path][method.lower()]
        assert call["summary"]
        assert "200" in call["responses"]
        assert ("requestBody" in call) == ((method, path) in CHANGING)


def test_every_path_is_served(client: FlaskClient) -> None:
    """What the data plane sends here is known here."""
    rules = {rule.rule for rule in client.application.url_map.iter_rules()}
    assert {path.decode() for path in ADMIN_PATHS} <= rules
