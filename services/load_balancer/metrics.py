"""`/metrics`: the data plane's plain counters, in Prometheus's text format, made when asked for."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from load_balancer.data_planes import DataPlanes
from load_balancer.events import EventLog
from load_balancer.health import State
from load_balancer.membership import Membership
from load_balancer.proxy.pool import LATENCY_BUCKETS_S


class Metrics(Collector):
    """Reads counters that others write without a lock: each is exact, their sum may be an instant
    apart."""

    def __init__(self, planes: DataPlanes, membership: Membership, events: EventLog) -> None:
        self._planes = planes
        self._membership = membership
        self._events = events
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)  # CPU, memory, descriptors, by their usual names

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "ringlab_requests", "Answered by replicas", labels=["replica", "status"]
        )
        losses = CounterMetricFamily(
            "ringlab_lost_tries", "Tries that ended without an answer", labels=["replica"]
        )
        retries = CounterMetricFamily(
            "ringlab_retries", "Tries that went on to another replica", labels=["replica"]
        )
        ejections = CounterMetricFamily(
            "ringlab_ejections", "Times that a replica was an outlier", labels=["replica"]
        )
        latency = HistogramMetricFamily(
            "ringlab_latency_seconds", "From request to the answer's end", labels=["replica"]
        )
        ejected = self._planes.ejections
        for hostname, stats in list(self._planes.stats.items()):
            for digit, count in enumerate(stats.answers[1:], start=1):
                requests.add_metric([hostname, f"{digit}xx"], count)
            losses.add_metric([hostname], stats.losses)
            retries.add_metric([hostname], stats.retries)
            ejections.add_metric([hostname], ejected.get(hostname, 0))
            bounds = [*map(str, LATENCY_BUCKETS_S), "+Inf"]
            cumulative = itertools.accumulate(stats.latency_counts)
            latency.add_metric(
                [hostname], list(zip(bounds, cumulative, strict=True)), stats.latency_sum_s
            )
        in_flight = GaugeMetricFamily(
            "ringlab_in_flight", "Requests not yet answered", labels=["replica"]
        )
        for hostname, count in self._planes.in_flight.items():
            in_flight.add_metric([hostname], count)
        health = GaugeMetricFamily(
            "ringlab_replica_state", "1 for the state a replica is in", labels=["replica", "state"]
        )
        for member in list(self._membership.members.values()):
            for state in State:
                health.add_metric([member.hostname, state], float(member.health.state is state))
        clients = GaugeMetricFamily(
            "ringlab_client_connections", "Open now", self._planes.num_clients
        )
        version = CounterMetricFamily(
            "ringlab_table_version", "Routing tables published", self._membership.table.version
        )
        replacements = CounterMetricFamily(
            "ringlab_replacements", "Dead replicas replaced", self._events.counts["replaced"]
        )
        events = CounterMetricFamily("ringlab_events", "What has happened", labels=["kind"])
        for kind, count in sorted([*self._events.counts.items()]):
            events.add_metric([kind], count)
        yield from self._followers()
        yield from (
            requests,
            losses,
            retries,
            ejections,
            latency,
            in_flight,
            health,
            clients,
            version,
            replacements,
            events,
        )

    def _followers(self) -> Iterator[Metric]:
        versions = GaugeMetricFamily(
            "ringlab_follower_table_version", "That it serves by", labels=["data_plane"]
        )
        silences = GaugeMetricFamily(
            "ringlab_follower_silence_seconds", "Since it was heard of", labels=["data_plane"]
        )
        for name, version, silence_s in self._planes.followers():
            versions.add_metric([name], version)
            silences.add_metric([name], silence_s)
        yield from (versions, silences)
