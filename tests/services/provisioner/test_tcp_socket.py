"""Other nodes are served over TCP: those who bear the token, and nobody else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from provisioner.tcp_socket import bind_tcp_socket, parse_bind, with_token

TOKEN = "a-token-of-the-tests"


def status_of(token: str, environment: dict[str, Any]) -> tuple[str, list[bytes]]:
    """How a request is answered by an application that is behind the token."""
    statuses = []

    def application(_: object, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"seen"]

    body = with_token(application, token)(environment, lambda status, _: statuses.append(status))
    return statuses[0], list(body)


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", TOKEN, f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", "Bearer tök\xe9n"],
)
def test_without_the_token_nothing_is_seen(authorization: str) -> None:
    """401 of the one shape, whatever is given in the token's place; also what is no ASCII."""
    status, body = status_of(TOKEN, {"HTTP_AUTHORIZATION": authorization})
    assert "401 Unauthorized" == status
    assert "failure" == json.loads(b"".join(body))["status"]
    assert "401 Unauthorized" == status_of(TOKEN, {})[0]


def test_with_the_token_the_application_answers() -> None:
    """The request goes on as it is."""
    environment = {"HTTP_AUTHORIZATION": f"Bearer {TOKEN}"}
    assert ("200 OK", [b"seen"]) == status_of(TOKEN, environment)


@pytest.mark.parametrize(
    ("text", "address"), [("10.0.1.2:5000", ("10.0.1.2", 5000)), ("[::]:0", ("::", 0))]
)
def test_an_address_is_read(text: str, address: tuple[str, int]) -> None:
    """Of both families."""
    assert address == parse_bind(text)


@pytest.fixture
def served(tmp_path: Path, wait_until: Callable[..., None]) -> Iterator[tuple[str, Path]]:
    """A provisioner that serves on both: its URL and its Unix socket."""
    with bind_tcp_socket("127.0.0.1:0") as probe:
        address = "{}:{}".format(*probe.getsockname())
    environment = os.environ | {
        "PROVISIONER_RUNTIME": "process",
        "PROVISIONER_SOCKET": str(tmp_path / "s"),
        "PROVISIONER_DIRECTORY": str(tmp_path / "replicas"),
        "PROVISIONER_BIND": address,
        "PROVISIONER_TOKEN": TOKEN,
    }
    child = subprocess.Popen([sys.executable, "-m", "provisioner"], env=environment)
    try:
        wait_until(lambda: fetch(f"http://{address}/healthz", TOKEN)[0] == 200)
        yield f"http://{address}", tmp_path / "s"
    finally:
        child.terminate()
        assert 0 == child.wait(timeout=15)


def fetch(url: str, token: str) -> tuple[int, Any]:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_both_doors_lead_to_one_provisioner(
    served: tuple[str, Path], call: Callable[..., tuple[int, Any]]
) -> None:
    """What is made over the socket is listed over TCP; there a token is needed, here none is."""
    url, path = served
    status, replica = call(path, "PUT", "/replicas/Server1", {"server_id": 1})
    assert 201 == status
    try:
        assert (200, {"replicas": [replica]}) == fetch(f"{url}/replicas", TOKEN)
        assert 401 == fetch(f"{url}/replicas", "some-other-token-here")[0]
    finally:
        assert (204, None) == call(path, "DELETE", "/replicas/Server1")
