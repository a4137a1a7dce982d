"""`?dry_run=1`: what a command would move, told before it is given, and nothing is changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from load_balancer import forecast

from ring import ALGORITHMS, from_dict, metrics

if TYPE_CHECKING:
    from .conftest import Lab

Failure = Callable[[Any], str]

NAMES = ["Server1", "Server2", "Server3"]
IDS = np.arange(100_000, 1_000_000)
RINGS: list[dict[str, object]] = [
    {"preset": "assignment"},
    {"preset": "default", "load_factor": 1.25},
    *({"algorithm": name} for name in ALGORITHMS if name not in ("slots", "table", "bounded")),
]

COMMANDS: list[tuple[str, str, dict[str, Any], int]] = [
    ("POST", "/add", {"n": 1, "hostnames": ["Server4"]}, 4),
    ("POST", "/add", {"n": 3, "hostnames": ["Server4", "Server5", "Server6"]}, 6),
    ("DELETE", "/rm", {"n": 1, "hostnames": ["Server3"]}, 2),
    ("PUT", "/rep", {"hostnames": ["Server1", "Server2", "Server7"]}, 3),
    ("PUT", "/rep", {"hostnames": []}, 0),
]


def everything(lab: Lab) -> object:
    """All that a dry run must leave as it is."""
    return (
        lab.client.get("/ring").json,
        lab.client.get("/rep").json,
        lab.membership.ring.to_dict(),
        lab.membership.table.version,
        lab.events.last_id,
        dict(lab.provisioner.__dict__),
    )


def call(client: FlaskClient, method: str, path: str, body: object) -> Any:
    return client.open(path, method=method, json=body)


@pytest.mark.parametrize(("method", "path", "body", "n"), COMMANDS)
@pytest.mark.parametrize("ring", RINGS, ids=str)
def test_it_comes_as_it_was_told(
    lab: Lab, ring: dict[str, object], method: str, path: str, body: dict[str, Any], n: int
) -> None:
    """N, replicas, their shares, and how many of all six-digit ids have another replica then."""
    lab.client.put("/ring", json=ring)
    before = everything(lab)
    told = call(lab.client, method, f"{path}?dry_run=1", body)
    assert everything(lab) == before
    if ring == {"algorithm": "jump"} and "Server7" in body["hostnames"]:  # in the middle's place
        assert told.status_code == call(lab.client, method, path, body).status_code == 409
        return
    assert told.status_code == 200
    assert told.json["status"] == "successful"
    message = told.json["message"]
    assert message["N"] == len(message["replicas"]) == n

    old = from_dict(lab.membership.ring.to_dict())
    done = call(lab.client, method, path, body).json["message"]
    assert set(done["replicas"]) == set(message["replicas"])
    assert "moved" not in done
    new = lab.membership.ring
    assert message["shares"] == forecast.shares(new)
    expected = metrics.relocated_between(old, new, IDS) if n else 1.0
    assert message["moved"] == pytest.approx(expected, abs=0.006)


@pytest.mark.parametrize("ring", RINGS, ids=str)
def test_a_ring_comes_as_it_was_told(lab: Lab, ring: dict[str, object]) -> None:
    """The answer is that of the change, and `moved`."""
    before = everything(lab)
    told = lab.client.put("/ring?dry_run=1", json=ring)
    assert told.status_code == 200
    assert everything(lab) == before
    old = from_dict(lab.membership.ring.to_dict())
    message = told.json["message"]
    moved = message.pop("moved")
    assert message == lab.client.put("/ring", json=ring).json["message"]
    expected = metrics.relocated_between(old, lab.membership.ring, IDS)
    assert moved == pytest.approx(expected, abs=0.006)


def test_nobody_to_move_from(lab: Lab) -> None:
    """The first replica gets all keys."""
    lab.client.put("/rep", json={"hostnames": []})
    message = lab.client.post("/add?dry_run=1", json={"n": 1}).json["message"]
    assert (message["moved"], list(message["shares"].values())) == (1.0, [1.0])
    assert (
        lab.client.put("/ring?dry_run=1", json={"algorithm": "jump"}).json["message"]["moved"] == 0
    )


@pytest.mark.parametrize("given", ["0", "false"])
def test_it_can_be_declined(lab: Lab, given: str) -> None:
    """dry_run=0 does it."""
    lab.client.post(f"/add?dry_run={given}", json={"n": 1, "hostnames": ["Server4"]})
    assert lab.client.get("/rep").json["message"]["replicas"] == [*NAMES, "Server4"]


REFUSED: list[tuple[str, str, object, int]] = [
    ("POST", "/add", {"n": 0}, 400),
    ("POST", "/add", {"n": 1, "hostnames": ["Server2"]}, 409),
    ("POST", "/add", {"n": 1, "hostnames": ["no_name"]}, 400),
    ("POST", "/add", {"n": 62}, 409),
    ("DELETE", "/rm", {"n": 4}, 400),
    ("DELETE", "/rm", {"n": 1, "hostnames": ["Server9"]}, 404),
    ("PUT", "/rep", {"hostnames": ["A", "A"]}, 400),
    ("PUT", "/ring", {"slots": 20}, 409),
    ("PUT", "/ring", {"algorithm": "magic"}, 400),
]


@pytest.mark.parametrize(("method", "path", "body", "status"), REFUSED)
def test_what_would_be_refused_is(
    lab: Lab, failure: Failure, method: str, path: str, body: object, status: int
) -> None:
    """With the same words."""
    before = everything(lab)
    told = call(lab.client, method, f"{path}?dry_run=1", body)
    assert told.status_code == status
    assert failure(told) == failure(call(lab.client, method, path, body))
    assert everything(lab) == before


@pytest.mark.parametrize("given", ["", "2", "yes", "True"])
def test_neither_yes_nor_no(lab: Lab, failure: Failure, given: str) -> None:
    """Nothing is done in doubt."""
    before = everything(lab)
    response = lab.client.post(f"/add?dry_run={given}", json={"n": 1})
    assert response.status_code == 400
    assert failure(response) == f"dry_run: must be 1 or 0, got {given!r}"
    assert everything(lab) == before


def test_servers_that_are_not_ours(make_lab: Callable[..., Lab], failure: Failure) -> None:
    """What cannot be done cannot be tried either."""
    client = make_lab(replica=("A=127.0.0.1:1",)).client
    response = client.post("/add?dry_run=1", json={"n": 1})
    assert response.status_code == 409
    assert "does not manage" in failure(response)
