"""What is predicted is measured, to the digit; nothing is lost, whatever is done to the lab."""

from __future__ import annotations

import threading

import pytest
from load import SteadyStream, send, spec_ids

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]


def test_ten_thousand_requests_spread_as_predicted(lab) -> None:
    """The contract's counts for the seed's deployed ring, at concurrency 100, nothing lost."""
    lab.call("PUT", "/ring", json={"preset": "seed-deployed"})
    outcome = send(lab.url, spec_ids(10_000), concurrency=100)
    assert [] == outcome.failures
    assert {"Server1": 3834, "Server2": 3073, "Server3": 3093} == dict(outcome.answers)


def test_a_ring_switched_under_traffic_loses_nothing(lab) -> None:
    """PUT /ring back and forth while requests run."""
    stop = threading.Event()

    def switch() -> None:
        while not stop.is_set():
            for preset in ("assignment", "seed-deployed", "default"):
                assert 200 == lab.call("PUT", "/ring", json={"preset": preset}).status_code

    switcher = threading.Thread(target=switch)
    switcher.start()
    outcome = send(lab.url, spec_ids(3_000), concurrency=50)
    stop.set()
    switcher.join()
    assert [] == outcome.failures


def test_scaling_under_traffic_loses_nothing(lab) -> None:
    """5 → 3 → 5 replicas while requests run: leaving replicas answer what they have begun."""
    with SteadyStream(lab.url) as stream:
        for _ in range(2):
            lab.call("POST", "/add", json={"n": 2, "hostnames": ["Server4", "Server5"]})
            outcome = send(lab.url, spec_ids(500), concurrency=20)
            lab.call("DELETE", "/rm", json={"n": 2, "hostnames": ["Server4", "Server5"]})
            assert [] == outcome.failures
    assert [] == stream.failures
    assert stream.sent > 0
