"""The ring over HTTP: looked at, changed live, and asked for its reasons."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from flask.testing import FlaskClient
from load_balancer.health import Evidence

from ring import ALGORITHMS, PRESETS, from_dict, key_of

if TYPE_CHECKING:
    from .conftest import Lab

Failure = Callable[[Any], str]

NAMES = ["Server1", "Server2", "Server3"]


def ring(client: FlaskClient) -> dict[str, Any]:
    return client.get("/ring").json["message"]


def test_get(make_lab: Callable[..., Lab]) -> None:
    """Configuration and capacity; id, state, share and slots of each replica."""
    lab = make_lab(preset="default")
    message = ring(lab.client)
    replicas = message.pop("replicas")
    assert message == {
        "algorithm": "slots",
        "preset": "default",
        "load_factor": None,
        "hash": "splitmix64",
        "slots": 65_536,
        "virtual_nodes": 160,
        "key_hash": "splitmix64",
        "virtual_node_hash": "sha256",
        "probing": "linear",
        "capacity": 409,
    }
    assert list(replicas) == NAMES
    assert [replicas[name]["server_id"] for name in NAMES] == [1, 2, 3]
    assert replicas["Server2"]["slots"] == list(lab.membership.ring.slots_of("Server2"))
    assert replicas["Server2"]["state"] == "alive"
    shares = [replicas[name]["share"] for name in NAMES]
    assert shares == pytest.approx([lab.membership.ring.shares()[name] for name in NAMES], abs=0.01)
    assert sum(shares) == pytest.approx(1)
    lab.learn("Server2", Evidence.REFUSED)
    assert ring(lab.client)["replicas"]["Server2"]["state"] == "suspect"


@pytest.mark.parametrize("preset", PRESETS)
def test_presets(lab: Lab, preset: str) -> None:
    """By name; the answer is the new ring, and the replicas are the same."""
    response = lab.client.put("/ring", json={"preset": preset})
    assert response.status_code == 200
    assert response.json["message"] == ring(lab.client)
    assert response.json["message"]["preset"] == preset
    assert lab.membership.ring.config == PRESETS[preset]
    assert lab.client.get("/rep").json["message"]["replicas"] == NAMES


def test_one_field_at_a_time(lab: Lab) -> None:
    """What is not named stays as it is; a ring without a name has none."""
    lab.client.put("/ring", json={"preset": "assignment"})
    message = lab.client.put("/ring", json={"virtual_nodes": 5}).json["message"]
    assert (message["preset"], message["slots"], message["virtual_nodes"]) == (None, 512, 5)
    message = lab.client.put("/ring", json={"key_hash": "sha256"}).json["message"]
    assert (message["key_hash"], message["virtual_nodes"]) == ("sha256", 5)
    body = {"preset": "assignment", "probing": "quadratic"}
    message = lab.client.put("/ring", json=body).json["message"]
    assert (message["probing"], message["virtual_nodes"]) == ("quadratic", 9)


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        ({}, 400, "accepted are: algorithm, preset, hash, load_factor, slots"),
        ({"preset": None}, 400, "preset: must be a string, got None"),
        ({"preset": "best"}, 400, "assignment, seed-library, seed-deployed, default, got 'best'"),
        ({"preset": 1}, 400, "preset: must be a string, got 1"),
        ({"slots": 0}, 400, "slots must be an integer in 1..1048576, got 0"),
        ({"slots": 2**20 + 1}, 400, "got 1048577"),
        ({"slots": "512"}, 400, "slots: must be an integer, got '512'"),
        ({"slots": True}, 400, "slots: must be an integer, got True"),
        ({"slots": 512.0}, 400, "slots: must be an integer, got 512.0"),
        ({"virtual_nodes": 513}, 400, "virtual_nodes must be an integer in 1..512, got 513"),
        ({"probing": ["linear"]}, 400, "probing: must be a string, got ['linear']"),
        ({"key_hash": "rot13"}, 400, "key_hash must be one of identity, assignment"),
        ({"virtual_node_hash": "md5"}, 400, "virtual_node_hash must be one of"),
        (
            {"probing": "cubic"},
            400,
            "probing must be one of linear, quadratic, double, got 'cubic'",
        ),
        ({"K": 5}, 400, "accepted are algorithm, preset, hash, load_factor, slots"),
        ({"slots": 20}, 409, "at most 2 nodes"),
        ({"table": []}, 400, "the table's length must be an integer in 1..1048576, got 0"),
        ({"table": "Server1"}, 400, "list of hostnames, one for each slot, got 'Server1'"),
        (
            {"table": ["Server1", 2]},
            400,
            "list of hostnames, one for each slot, got ['Server1', 2]",
        ),
        ({"table": ["Server1", "Server9"]}, 400, "table[1] must be a replica, got 'Server9'"),
        ({"table": ["Server1", "Server2"]}, 409, "the table has no slot for 'Server3'"),
        ({"table": NAMES, "slots": 3}, 400, "table accepts key_hash, table, got slots"),
        ({"table": NAMES, "preset": "default"}, 400, "got table"),
        ({"algorithm": "table"}, 400, "algorithm table wants a table"),
        ({"algorithm": "magic"}, 400, "one of slots, table, ketama, nginx"),
        ({"algorithm": "bounded"}, 400, "algorithm must be one of slots, table"),
        ({"algorithm": ["jump"]}, 400, "algorithm: must be a string, got ['jump']"),
        ({"algorithm": "jump", "preset": "default"}, 400, "must be slots, got 'jump'"),
        ({"algorithm": "jump", "slots": 5}, 400, "jump accepts hash, got slots"),
        ({"algorithm": "nginx", "hash": "md5"}, 400, "nginx accepts nothing, got hash"),
        ({"algorithm": "rendezvous", "hash": "rot13"}, 400, "hash must be one of"),
        ({"algorithm": "maglev", "table_size": 1000}, 400, "got 1000"),
        ({"algorithm": "anchor", "capacity": 2}, 409, "all 2 have nodes"),
        ({"algorithm": "multiprobe", "probes": 0}, 400, "probes must be"),
        ({"algorithm": "haproxy", "avalanche": 1}, 400, "avalanche: must be true or false, got 1"),
        ({"load_factor": 1}, 400, "load_factor must be a number above 1, at most 1000, got 1"),
        ({"load_factor": 0.5}, 400, "got 0.5"),
        ({"load_factor": True}, 400, "load_factor: must be a number above 1, got True"),
        ({"load_factor": "2"}, 400, "got '2'"),
        ({"table": NAMES, "key_hash": "rot13"}, 400, "key_hash must be one of identity"),
    ],
)
def test_bad_rings(
    lab: Lab, failure: Failure, body: dict[str, object], status: int, named: str
) -> None:
    """The value is named, with what is accepted; the ring stays."""
    before = ring(lab.client)
    response = lab.client.put("/ring", json=body)
    assert response.status_code == status
    assert named in failure(response)
    assert ring(lab.client) == before


# What each algorithm is put to by its name, and what it says of itself then.
RINGS: dict[str, dict[str, object]] = {
    "slots": {"slots": 4096, "virtual_nodes": 20, "key_hash": "xxh3"},
    "ketama": {},
    "nginx": {},
    "haproxy": {"function": "djb2", "avalanche": False},
    "rendezvous": {"hash": "xxh3"},
    "jump": {"hash": "sha256"},
    "maglev": {"table_size": 251},
    "multiprobe": {"probes": 7},
    "anchor": {"capacity": 9},
    "modulo": {"hash": "crc32"},
}


def test_every_algorithm_is_put() -> None:
    """But a table, which has tests of its own, and bounds, which any of them can have."""
    assert RINGS.keys() == ALGORITHMS.keys() - {"table", "bounded"}


@pytest.mark.parametrize("load_factor", [None, 1.25])
@pytest.mark.parametrize("algorithm", RINGS)
def test_algorithms(lab: Lab, algorithm: str, load_factor: float | None) -> None:
    """By name, with their parameters: the ring says what it is, keys go where the library says,
    replicas come and go, and a preset leads back."""
    fields = {"algorithm": algorithm, **RINGS[algorithm]}
    if load_factor is not None:
        fields["load_factor"] = load_factor
    response = lab.client.put("/ring", json=fields)
    assert response.status_code == 200
    message = response.json["message"]
    assert message == ring(lab.client)
    assert fields.items() <= message.items()
    assert (message["preset"], message["load_factor"]) == (None, load_factor)
    assert sum(at["share"] for at in message["replicas"].values()) == pytest.approx(1)
    assert {at["slots"] is None for at in message["replicas"].values()} == {algorithm != "slots"}

    lab.client.post("/add", json={"n": 1, "hostnames": ["Server4"]})
    assert lab.client.delete("/rm", json={"n": 1}).status_code == 200
    saved = lab.membership.ring.to_dict()
    own = from_dict(saved if load_factor is None else saved["placement"])
    assert own.algorithm == algorithm
    assert len(own.nodes) == 3
    for key in range(50):
        way = lab.client.get(f"/route?id={key}").json["message"]
        assert way["failover_order"] == list(own.preference(key))
        assert (way["owner"], way["hash"]) == (own.lookup(key), own.key_hash(key))
        assert lab.membership.table.route(key).hostname == own.lookup(key)
    assert (way["slot"] is None) == (algorithm != "slots")
    back = lab.client.put("/ring", json={"preset": "assignment"}).json["message"]
    assert (back["preset"], back["load_factor"]) == ("assignment", None)


def test_parameters_stay_while_the_algorithm_does(lab: Lab) -> None:
    """What is not named stays, and another algorithm begins with its own."""
    lab.client.put("/ring", json={"algorithm": "maglev", "table_size": 251})
    message = lab.client.put("/ring", json={"hash": "xxh3"}).json["message"]
    assert (message["algorithm"], message["table_size"], message["hash"]) == ("maglev", 251, "xxh3")
    message = lab.client.put("/ring", json={"algorithm": "maglev"}).json["message"]
    assert (message["table_size"], message["hash"]) == (251, "xxh3")
    message = lab.client.put("/ring", json={"algorithm": "rendezvous"}).json["message"]
    assert message["hash"] == "splitmix64"
    assert "table_size" not in message


def test_a_bound_comes_and_goes(lab: Lab) -> None:
    """The ring below it stays as it is, and so does the bound when that changes."""
    lab.client.put("/ring", json={"algorithm": "rendezvous"})
    message = lab.client.put("/ring", json={"load_factor": 2}).json["message"]
    assert (message["algorithm"], message["load_factor"]) == ("rendezvous", 2)
    message = lab.client.put("/ring", json={"hash": "xxh3"}).json["message"]
    assert (message["hash"], message["load_factor"]) == ("xxh3", 2)
    message = lab.client.put("/ring", json={"load_factor": None}).json["message"]
    assert (message["algorithm"], message["load_factor"]) == ("rendezvous", None)


def test_jump_gives_away_its_last_alone(lab: Lab, failure: Failure) -> None:
    """A replica in the middle cannot leave, which is said, and changes nothing; unnamed ones to
    remove are the last."""
    lab.client.put("/ring", json={"algorithm": "jump"})
    before = ring(lab.client)
    response = lab.client.delete("/rm", json={"n": 1, "hostnames": ["Server2"]})
    assert response.status_code == 409
    assert "'Server3'" in failure(response)
    response = lab.client.put("/rep", json={"hostnames": ["Server1", "Server3"]})
    assert response.status_code == 409
    assert ring(lab.client) == before
    assert lab.client.get("/rep").json["message"]["replicas"] == NAMES
    response = lab.client.delete("/rm", json={"n": 2})
    assert response.json["message"]["replicas"] == ["Server1"]
    lab.client.put("/rep", json={"hostnames": NAMES})
    assert list(ring(lab.client)["replicas"]) == NAMES
    lab.client.put("/rep", json={"hostnames": NAMES[:2]})
    assert list(ring(lab.client)["replicas"]) == NAMES[:2]


def test_a_table(lab: Lab) -> None:
    """Each slot's replica, as data; what is not named, H, stays as it is."""
    lab.client.put("/ring", json={"preset": "seed-deployed"})
    table = [NAMES[slot % 3] for slot in range(10)]
    message = lab.client.put("/ring", json={"table": table}).json["message"]
    assert {name: value for name, value in message.items() if name != "replicas"} == {
        "algorithm": "table",
        "preset": None,
        "load_factor": None,
        "hash": "knuth",
        "slots": 10,
        "virtual_nodes": None,
        "key_hash": "knuth",
        "virtual_node_hash": None,
        "probing": None,
        "capacity": 3,
    }
    assert message["replicas"]["Server2"]["slots"] == [1, 4, 7]
    assert [lab.membership.table.route(key).hostname for key in range(9)] == [
        table[key * 2654435761 % 10] for key in range(9)
    ]
    assert lab.client.get("/route?id=4").json["message"]["replica"] == table[4 * 2654435761 % 10]


def test_a_table_keeps_its_slots_when_the_hash_changes(lab: Lab) -> None:
    """And a preset leaves it."""
    lab.client.put("/ring", json={"table": NAMES, "key_hash": "identity"})
    assert lab.client.get("/route?id=5").json["message"]["replica"] == "Server3"
    message = lab.client.put("/ring", json={"key_hash": "assignment"}).json["message"]
    assert (message["algorithm"], message["key_hash"]) == ("table", "assignment")
    message = lab.client.put("/ring", json={"preset": "default"}).json["message"]
    assert (message["algorithm"], message["preset"]) == ("slots", "default")


def test_a_table_has_slots_for_those_it_names(lab: Lab, failure: Failure) -> None:
    """A replica of another name is refused; one that left comes back to its slots."""
    lab.client.put("/ring", json={"table": NAMES, "key_hash": "identity"})
    response = lab.client.post("/add", json={"n": 1, "hostnames": ["Server4"]})
    assert response.status_code == 409
    assert "no slot for 'Server4'; it has for: Server1, Server2, Server3" in failure(response)
    lab.client.delete("/rm", json={"n": 1, "hostnames": ["Server2"]})
    assert lab.client.get("/route?id=1").json["message"]["replica"] == "Server3"
    lab.client.post("/add", json={"n": 1, "hostnames": ["Server2"]})
    assert lab.client.get("/route?id=1").json["message"]["replica"] == "Server2"


def test_a_present_table_has_no_virtual_nodes_to_change(lab: Lab, failure: Failure) -> None:
    """Only a preset or an algorithm leads from a table to another kind of ring."""
    lab.client.put("/ring", json={"table": NAMES})
    response = lab.client.put("/ring", json={"virtual_nodes": 9})
    assert response.status_code == 400
    assert "table accepts key_hash, table, got virtual_nodes" in failure(response)


@pytest.mark.parametrize("request_id", ["132574", "0", "-7", "cart-17", "ä b", "1e3"])
def test_route(lab: Lab, request_id: str) -> None:
    """One decision, step by step, as the ring itself explains it; and where it really goes."""
    response = lab.client.get("/route", query_string={"id": request_id})
    message = response.json["message"]
    explanation = lab.membership.ring.explain(key_of(request_id))
    assert response.status_code == 200
    assert message == {
        "id": request_id,
        "key": explanation.key,
        "hash": explanation.hash,
        "slot": explanation.slot,
        "probes": explanation.probes,
        "taken_slot": explanation.taken_slot,
        "owner": explanation.node,
        "replica": explanation.node,
        "failover_order": list(explanation.preference_list),
    }


def test_route_around_the_dead(lab: Lab) -> None:
    """The slot has its owner; the request goes to the next who serves."""
    order = lab.membership.ring.preference(7)
    lab.learn(order[0], Evidence.REFUSED)
    message = lab.client.get("/route?id=7").json["message"]
    assert (message["owner"], message["replica"]) == (order[0], order[1])
    assert message["failover_order"] == list(order[1:])


def test_route_of_nothing(lab: Lab, failure: Failure) -> None:
    """An id is needed, and a replica."""
    response = lab.client.get("/route")
    assert (response.status_code, failure(response)) == (400, "id: Field required")
    lab.client.put("/rep", json={"hostnames": []})
    response = lab.client.get("/route?id=7")
    assert response.status_code == 409
    assert "no replicas" in failure(response)


def test_servers_that_are_not_ours(make_lab: Callable[..., Lab]) -> None:
    """The ring is ours all the same."""
    client = make_lab(replica=("A=127.0.0.1:1", "B=127.0.0.1:2")).client
    assert client.put("/ring", json={"preset": "assignment"}).status_code == 200
    assert list(ring(client)["replicas"]) == ["A", "B"]
    assert client.get("/route?id=1").json["message"]["replica"] in ("A", "B")
