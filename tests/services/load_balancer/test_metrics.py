"""/metrics: what the counters say, in Prometheus's words."""

from types import SimpleNamespace
from typing import Any

import pytest
from load_balancer.events import EventLog
from load_balancer.health import Evidence, Thresholds
from load_balancer.membership import Membership
from load_balancer.metrics import Metrics
from load_balancer.proxy.pool import Stats
from prometheus_client.parser import text_string_to_metric_families

from ring import PRESETS, SlotRing

Sample = tuple[str, tuple[tuple[str, str], ...]]


@pytest.fixture
def membership(monkeypatch: pytest.MonkeyPatch) -> Membership:
    """Server1 alive, Server2 starting."""
    monkeypatch.setattr(Membership, "_now", staticmethod(lambda: 0.0))
    membership = Membership(SlotRing(PRESETS["default"]), Thresholds(1, 1), EventLog())
    members = membership.reserve(["Server1", "Server2"])
    membership.join(members)
    for member in members:
        membership.start(member, ("127.0.0.1", 1))
    membership.learn(members[0].replica, Evidence.ANSWERED)
    return membership


@pytest.fixture
def samples(membership: Membership) -> dict[Sample, float]:
    """After three answers, one loss and one retry of Server1."""
    stats = Stats()
    stats.answered(200, 0.003)
    stats.answered(200, 0.02)
    stats.answered(503, 99.0)
    stats.losses, stats.retries = 2, 1
    planes: Any = SimpleNamespace(
        stats={"Server1": stats},
        ejections={"Server1": 6},
        in_flight={"Server1": 4},
        num_clients=7,
        followers=lambda: [("worker-2", 3, 0.25)],
    )
    events = EventLog()
    events.record("replaced", hostname="Server1", by="Server1")
    events.record("ring", algorithm="slots")
    text = Metrics(planes, membership, events).text().decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("ringlab_requests_total", {"replica": "Server1", "status": "2xx"}, 2),
        ("ringlab_requests_total", {"replica": "Server1", "status": "4xx"}, 0),
        ("ringlab_requests_total", {"replica": "Server1", "status": "5xx"}, 1),
        ("ringlab_lost_tries_total", {"replica": "Server1"}, 2),
        ("ringlab_replacements_total", {}, 1),
        ("ringlab_events_total", {"kind": "ring"}, 1),
        ("ringlab_events_total", {"kind": "replaced"}, 1),
        ("ringlab_retries_total", {"replica": "Server1"}, 1),
        ("ringlab_ejections_total", {"replica": "Server1"}, 6),
        ("ringlab_latency_seconds_bucket", {"replica": "Server1", "le": "0.0025"}, 0),
        ("ringlab_latency_seconds_bucket", {"replica": "Server1", "le": "0.005"}, 1),
        ("ringlab_latency_seconds_bucket", {"replica": "Server1", "le": "10.0"}, 2),
        ("ringlab_latency_seconds_bucket", {"replica": "Server1", "le": "+Inf"}, 3),
        ("ringlab_latency_seconds_count", {"replica": "Server1"}, 3),
        ("ringlab_latency_seconds_sum", {"replica": "Server1"}, 99.023),
        ("ringlab_in_flight", {"replica": "Server1"}, 4),
        ("ringlab_replica_state", {"replica": "Server1", "state": "alive"}, 1),
        ("ringlab_replica_state", {"replica": "Server1", "state": "starting"}, 0),
        ("ringlab_replica_state", {"replica": "Server2", "state": "starting"}, 1),
        ("ringlab_client_connections", {}, 7),
        ("ringlab_table_version_total", {}, 3),
        ("ringlab_follower_table_version", {"data_plane": "worker-2"}, 3),
        ("ringlab_follower_silence_seconds", {"data_plane": "worker-2"}, 0.25),
    ],
)
def test_sample(
    samples: dict[Sample, float], name: str, labels: dict[str, str], value: float
) -> None:
    """Each number is where dashboards look for it."""
    assert samples[name, tuple(sorted(labels.items()))] == pytest.approx(value)


def test_the_process_is_measured_too(samples: dict[Sample, float]) -> None:
    """By the names that Prometheus's own dashboards look for."""
    for name in ("cpu_seconds_total", "resident_memory_bytes", "open_fds", "start_time_seconds"):
        assert samples[f"process_{name}", ()] > 0
