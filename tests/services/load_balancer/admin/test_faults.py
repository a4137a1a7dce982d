"""Injected faults: done by the provisioner, noticed by nobody here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .conftest import Lab

Failure = Callable[[Any], str]


def test_faults(lab: Lab) -> None:
    """Each says what it did; membership has to find out by itself."""
    for verb, done, state in [
        ("pause", "paused", "paused"),
        ("resume", "resumed", "running"),
        ("crash", "crashed", "exited"),
    ]:
        response = lab.client.post(f"/{verb}", json={"hostname": "Server2"})
        assert response.status_code == 200
        assert response.json == {"message": {done: "Server2"}, "status": "successful"}
        assert lab.provisioner.states["Server2"] == state
    assert lab.client.get("/rep").json["message"]["N"] == 3


@pytest.mark.parametrize("verb", ["crash", "pause", "resume"])
@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"hostname": "Server9"}, 404, "hostname 'Server9' is no replica; there are: Server1"),
        ({"hostname": ""}, 404, "hostname '' is no replica"),
        ({"hostname": 2}, 400, "hostname must be a string, got 2"),
        ({"hostname": None}, 400, "hostname must be a string, got None"),
        ({"hostname": ["Server1"]}, 400, "hostname must be a string, got ['Server1']"),
        ({}, 400, "hostname: Field required"),
        ({"name": "Server1"}, 400, "accepted are hostname, got 'name'"),
        ({"hostname": "Server1", "n": 1}, 400, "accepted are hostname, got 'n'"),
        ([], 400, "the body must be a JSON object with hostname, got []"),
    ],
)
def test_bad_faults(
    lab: Lab, failure: Failure, verb: str, body: object, status: int, message: str
) -> None:
    """Nothing happens to anybody."""
    response = lab.client.post(f"/{verb}", json=body)
    assert response.status_code == status
    assert failure(response).startswith(message)
    assert set(lab.provisioner.states.values()) == {"running"}


def test_faults_that_are_there_already(lab: Lab, failure: Failure) -> None:
    """409 names the state."""
    lab.client.post("/pause", json={"hostname": "Server2"})
    response = lab.client.post("/pause", json={"hostname": "Server2"})
    assert (response.status_code, failure(response)) == (409, "replica Server2 is paused")


@pytest.mark.parametrize("verb", ["crash", "pause", "resume"])
def test_servers_that_are_not_ours(
    make_lab: Callable[..., Lab], failure: Failure, verb: str
) -> None:
    """We cannot, and say why."""
    client = make_lab(replica=("A=127.0.0.1:1",)).client
    response = client.post(f"/{verb}", json={"hostname": "A"})
    assert response.status_code == 409
    assert failure(response).startswith(f"cannot {verb} a replica: this load balancer was started")
