"""A replica dies or hangs; nobody outside notices, and soon there are N again."""

from __future__ import annotations

import time

import pytest
from labs import eventually
from load import SteadyStream, send, spec_ids

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

HEARTBEAT_TIMEOUT_S = 1.0  # the default


def heals(lab, hostname: str, *, out_within_s: float, back_within_s: float) -> None:
    """Asserts that `hostname`, just struck, leaves the table and is back in time."""
    struck_at = time.monotonic()
    eventually(lambda: hostname not in lab.replicas(), within_s=out_within_s)
    left_s = back_within_s - (time.monotonic() - struck_at)
    eventually(lambda: hostname in lab.replicas(), within_s=left_s)
    assert 3 == len(lab.replicas())


def test_three_killed_replicas_in_a_row_cost_no_answer(lab) -> None:
    """Each is out of the table within 1 s and replaced within 3 s."""
    with SteadyStream(lab.url) as stream:
        eventually(lambda: stream.sent >= 20, within_s=10)
        for hostname in ("Server2", "Server1", "Server2"):
            lab.kill_replica(hostname)
            heals(lab, hostname, out_within_s=1.0, back_within_s=3.0)
    assert [] == stream.failures


def test_a_frozen_replica_costs_no_answer(lab) -> None:
    """It is given the heartbeat's timeout longer."""
    with SteadyStream(lab.url) as stream:
        eventually(lambda: stream.sent >= 20, within_s=10)
        lab.freeze_replica("Server3")
        heals(
            lab,
            "Server3",
            out_within_s=1.0 + HEARTBEAT_TIMEOUT_S,
            back_within_s=3.0 + HEARTBEAT_TIMEOUT_S,
        )
    assert [] == stream.failures


@pytest.mark.parametrize("fault", ["crash", "pause"])
def test_the_admin_api_injects_faults(lab, fault: str) -> None:
    """/crash and /pause strike; the log of events tells how the lab healed."""
    last_id = max((event["id"] for event in events(lab)), default=0)
    assert 200 == lab.call("POST", f"/{fault}", json={"hostname": "Server2"}).status_code

    def kinds() -> list[str]:
        return [
            event["kind"]
            for event in events(lab, since=last_id)
            if event.get("hostname") == "Server2"
        ]

    eventually(lambda: "replaced" in kinds(), within_s=10)
    assert ["dead", "alive", "replaced"] == [kind for kind in kinds() if kind != "suspect"]


def test_a_pause_that_is_resumed_in_time_changes_nothing(lab) -> None:
    """A replica that is frozen for less than the timeout stays in the table."""
    last_id = max((event["id"] for event in events(lab)), default=0)
    lab.call("POST", "/pause", json={"hostname": "Server1"})
    lab.call("POST", "/resume", json={"hostname": "Server1"})
    assert [] == send(lab.url, spec_ids(200), concurrency=10).failures
    assert [] == events(lab, since=last_id)


@pytest.mark.parametrize("service", ["load-balancer", "provisioner"])
def test_a_killed_service_comes_back_and_keys_stay(lab, service: str) -> None:
    """After SIGKILL, 1,000 keys go where they went before, to the same replicas."""
    lab.call("POST", "/add", json={"n": 1})  # a random name: nothing but the state knows it
    before = send(lab.url, spec_ids(1_000), concurrency=20)
    old_pid = lab.service_pid(service)
    lab.kill_service(service)
    eventually(lambda: lab.service_pid(service) not in (0, old_pid), within_s=20)
    eventually(lambda: serves(lab) and len(lab.replicas()) == 4, within_s=20)
    after = send(lab.url, spec_ids(1_000), concurrency=20)
    assert [] == before.failures + after.failures
    assert before.replica_of == after.replica_of
    assert 200 == lab.call("POST", "/add", json={"n": 1}).status_code


def events(lab, since: int = 0) -> list[dict]:
    answer = lab.call(
        "GET", "/events", params={"since": since}, headers={"Accept": "application/json"}
    )
    return answer.json()


def serves(lab) -> bool:
    try:
        return lab.call("GET", "/home").ok
    except OSError:
        return False
