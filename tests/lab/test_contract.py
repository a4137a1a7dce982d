"""The classic assignment's calls, against the real lab."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from labs import ROOT

pytestmark = pytest.mark.lab


def test_rep_lists_the_replicas(lab) -> None:
    """GET /rep, to the letter."""
    answer = lab.call("GET", "/rep")
    assert 200 == answer.status_code
    assert {
        "message": {"N": 3, "replicas": ["Server1", "Server2", "Server3"]},
        "status": "successful",
    } == answer.json()


def test_add_names_what_is_named_and_invents_the_rest(lab) -> None:
    """POST /add: old names, then new; those that are named, and random ones."""
    answer = lab.call("POST", "/add", json={"n": 3, "hostnames": ["S5", "S4"]})
    replicas = answer.json()["message"]["replicas"]
    assert 200 == answer.status_code
    assert 6 == answer.json()["message"]["N"]
    assert ["Server1", "Server2", "Server3", "S5", "S4"] == replicas[:5]
    assert 6 == len(set(replicas))


def test_rm_removes_what_is_named_and_picks_the_rest(lab) -> None:
    """DELETE /rm lowers N by n, and the named ones are gone."""
    answer = lab.call("DELETE", "/rm", json={"n": 2, "hostnames": ["Server2"]})
    assert 200 == answer.status_code
    assert 1 == answer.json()["message"]["N"]
    assert "Server2" not in answer.json()["message"]["replicas"]
    assert answer.json()["message"]["replicas"] == lab.replicas()


def test_home_comes_from_a_replica(lab) -> None:
    """GET /home is answered by the replica that X-Replica names."""
    answer = lab.call("GET", "/home")
    assert 200 == answer.status_code
    assert {
        "message": f"Hello from Server: {answer.headers['X-Replica']}",
        "status": "successful",
    } == answer.json()


def test_other_paths_do_not_exist(lab) -> None:
    """A path that replicas don't have is the contract's 400."""
    answer = lab.call("GET", "/other")
    assert 400 == answer.status_code
    assert {
        "message": "<Error> '/other' endpoint does not exist in server replicas",
        "status": "failure",
    } == answer.json()


@pytest.mark.parametrize(
    ("method", "path", "what"),
    [("POST", "/add", "newly added"), ("DELETE", "/rm", "removable")],
)
def test_more_hostnames_than_n(lab, method: str, path: str, what: str) -> None:
    """The contract's sentence, and nothing changed."""
    answer = lab.call(method, path, json={"n": 1, "hostnames": ["Server1", "Server2"]})
    assert 400 == answer.status_code
    assert {
        "message": f"<Error> Length of hostname list is more than {what} instances",
        "status": "failure",
    } == answer.json()
    assert ["Server1", "Server2", "Server3"] == lab.replicas()


BAD_ADDS = [
    b'{"n": 0}',
    b'{"n": "2"}',
    b'{"n": -1}',
    b'{"n": 1000000000}',
    b'{"n": 1, "hostnames": ["Server1"]}',
    b'{"n": 1, "hostnames": ["no_underscores"]}',
    b'{"n": 2, "hostnames": ["twice", "twice"]}',
    b"no JSON",
    b'{"n": 1, "hostnames": ["' + b"x" * 1_000_000 + b'"]}',
]


@pytest.mark.parametrize("body", BAD_ADDS, ids=lambda body: body[:40].decode())
def test_a_bad_add_changes_nothing(lab, body: bytes) -> None:
    """A 4xx of one shape, and /rep as before."""
    answer = lab.call("POST", "/add", data=body, headers={"Content-Type": "application/json"})
    assert 400 <= answer.status_code < 500
    assert "failure" == answer.json()["status"]
    assert answer.json()["message"].startswith("<Error> ")
    assert ["Server1", "Server2", "Server3"] == lab.replicas()


def test_two_adds_at_once_both_take_effect(lab) -> None:
    """Neither is lost, and no name is there twice."""
    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda _: lab.call("POST", "/add", json={"n": 2}), range(2)))
    assert [200, 200] == [answer.status_code for answer in answers]
    assert 7 == len(lab.replicas()) == len(set(lab.replicas()))


def test_the_lab_at_a_glance(lab) -> None:
    """The table that `make inspect` shows, and the same as JSON: what the API says."""
    lab.call("PUT", "/ring", json={"algorithm": "rendezvous"})
    for _ in range(3):
        lab.call("GET", "/home", headers={"X-Request-ID": "132574"})
    script = [sys.executable, ROOT / "scripts" / "inspect_lab.py", lab.url]
    shown = subprocess.run([*script, "--format", "json"], capture_output=True, check=True)
    found = json.loads(shown.stdout)
    ring = lab.call("GET", "/ring").json()["message"]
    assert "rendezvous" == found["ring"]["algorithm"]
    assert list(ring["replicas"]) == list(found["replicas"])
    assert sum(at["answered"] for at in found["replicas"].values()) >= 3
    for name, at in ring["replicas"].items():
        expected = {key: at[key] for key in ("server_id", "state", "share")}
        assert expected.items() <= found["replicas"][name].items()
    shown = subprocess.run(script, capture_output=True, check=True, text=True)
    for name, at in ring["replicas"].items():
        assert re.search(
            rf"{name} .* {at['server_id']} .* alive .* {at['share']:.1%}", shown.stdout
        )
    nobody = subprocess.run([*script[:2], "http://127.0.0.1:1"], capture_output=True, text=True)
    assert (1, "") == (nobody.returncode, nobody.stdout)
    assert "the lab does not answer at http://127.0.0.1:1" in nobody.stderr
