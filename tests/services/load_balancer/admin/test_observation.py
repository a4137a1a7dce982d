"""Looking on: events as a stream and as a list, counters, and the page."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

import pytest
from load_balancer.admin import observation
from load_balancer.admin.observation import MAX_STREAMS
from load_balancer.live import EVERY_S
from load_balancer.proxy.pool import Stats
from load_balancer.proxy.sampler import Sample
from werkzeug.test import TestResponse

from ring import Circle

if TYPE_CHECKING:
    from .conftest import Lab

Failure = Callable[[Any], str]

JSON = {"Accept": "application/json"}


def stream(lab: Lab, path: str = "/events", **headers: str) -> TestResponse:
    return lab.client.get(path, headers=headers, buffered=False)


def read(response: TestResponse, count: int) -> list[str]:
    """The first parts of a stream, which is then left."""
    parts = [part.decode() for part in itertools.islice(response.response, count)]
    response.close()
    return parts


@pytest.fixture
def tick(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Lets a second pass for whoever looks on; streams wait for a thousandth of it."""
    monkeypatch.setattr(observation, "EVERY_S", 0.001)
    clock = [100.0]
    lab.context.live._now = lambda: clock[0]  # type: ignore[method-assign]

    def tick() -> None:
        clock[0] += EVERY_S

    return tick


def live(parts: Iterator[bytes]) -> dict[str, Any]:
    """The next message of a live stream that is not a comment."""
    told = next(part for part in (part.decode() for part in parts) if not part.startswith(":"))
    head, _, data = told.partition("data: ")
    assert head == "event: live\n"  # without a number, so that nobody resumes behind it
    return cast(dict[str, Any], json.loads(data))


@pytest.mark.parametrize("change", [{"preset": "assignment"}, {"algorithm": "jump"}])
def test_samples_of_requests(lab: Lab, tick: Callable[[], None], change: dict[str, str]) -> None:
    """Who looks on is told some requests: where they land, and with whom. Those of before are not
    told, and none twice."""
    lab.client.put("/ring", json=change)
    lab.samples.append(Sample(1, 10, "Server1"))
    response = stream(lab, "/events?live=1")
    parts = iter(response.response)
    assert live(parts)["requests"] == []
    lab.samples += [Sample(2, 11, "Server2"), Sample(3, 12, "Server3")]
    tick()
    requests = live(parts)["requests"]
    assert [request["replica"] for request in requests] == ["Server2", "Server3"]
    ring = lab.membership.ring
    if isinstance(ring, Circle):
        assert [request["place"] for request in requests] == [
            ring.key_slot(key) / 512 for key in (11, 12)
        ]
    else:
        assert all(0 <= request["place"] < 1 for request in requests)
    tick()
    assert live(parts)["requests"] == []
    response.close()


def test_counters_are_told_every_second(lab: Lab, tick: Callable[[], None]) -> None:
    """Those that the live page shows, and the version of the table, as /metrics has them."""
    stats = Stats()
    stats.answered(200, 0.003)
    stats.answered(503, 99.0)
    lab.context.server.stats["Server1"] = stats
    lab.context.server.in_flight["Server1"] = 4
    response = stream(lab, "/events?live=1")
    parts = iter(response.response)
    told = live(parts)
    assert told["table_version"] == lab.membership.table.version
    assert list(told["replicas"]) == ["Server1"]
    counters = told["replicas"]["Server1"]
    assert (counters["answered"], counters["in_flight"]) == (2, 4)
    latency = dict(zip([*told["latency_up_to_s"], "all"], counters["latency"], strict=True))
    assert [latency[up_to] for up_to in (0.0025, 0.005, 10.0, "all")] == [0, 1, 1, 2]
    stats.answered(200, 0.003)
    tick()
    assert live(parts)["replicas"]["Server1"]["answered"] == 3
    response.close()


def test_what_is_live_is_made_once_for_all(lab: Lab, tick: Callable[[], None]) -> None:
    """Twenty who look on get the same bytes, however many requests are answered meanwhile."""
    streams = [stream(lab, "/events?live=1") for _ in range(20)]
    parts = [iter(each.response) for each in streams]
    told = [live(each) for each in parts]
    for number in range(1, 4):
        lab.samples.append(Sample(number, 10, "Server1"))
        tick()
        told = [live(each) for each in parts]
        assert all(each == told[0] for each in told)
        assert len(told[0]["requests"]) == 1
    for each in streams:
        each.close()


def test_events_come_between(lab: Lab, tick: Callable[[], None]) -> None:
    """A live stream is one of events all the same."""
    response = stream(lab, "/events?live=1")
    parts = iter(response.response)
    live(parts)
    tick()
    lab.events.record("ring", algorithm="jump")
    told = next(part for part in (part.decode() for part in parts) if not part.startswith(":"))
    assert told.startswith("id: ")
    assert "event: ring\n" in told
    response.close()


def test_the_list(lab: Lab) -> None:
    """All that is remembered, or what came behind a number."""
    events = lab.client.get("/events", headers=JSON).json
    joined = [event["hostname"] for event in events if event["kind"] == "joined"]
    assert joined == ["Server1", "Server2", "Server3"]
    last = events[-1]["id"]
    assert lab.client.get(f"/events?since={last - 1}", headers=JSON).json == [events[-1]]
    assert lab.client.get(f"/events?since={last}", headers=JSON).json == []


def test_the_stream(lab: Lab) -> None:
    """From now on: what was before is not told unless it is asked for."""
    response = stream(lab)
    assert response.content_type.startswith("text/event-stream")
    assert response.headers["Cache-Control"] == "no-store"
    lab.client.put("/ring", json={"preset": "assignment"})
    hello, event = read(response, 2)
    assert hello == ": ringlab\n\n"
    assert "\nevent: ring\ndata: " in event
    assert json.loads(event.partition("data: ")[2])["num_slots"] == 512


@pytest.mark.parametrize("how", ["since", "Last-Event-ID"])
def test_the_stream_goes_on(lab: Lab, how: str) -> None:
    """Behind a number, as a browser asks that was cut, or as anybody may."""
    last = lab.events.last_id
    if how == "since":
        response = stream(lab, f"/events?since={last - 1}")
    else:
        response = stream(lab, **{"Last-Event-ID": str(last - 1)})
    assert read(response, 2)[1].startswith(f"id: {last}\n")


@pytest.mark.parametrize("since", ["x", "-1", "1.5", "²", "1 2"])
def test_bad_numbers(lab: Lab, failure: Failure, since: str) -> None:
    """400, and which."""
    response = lab.client.get("/events", query_string={"since": since})
    assert response.status_code == 400
    assert failure(response) == f"since must be the number of an event, got {since!r}"


def test_streams_have_a_number(lab: Lab, failure: Failure) -> None:
    """Each holds a thread; one more is 503, until one ends. HEAD takes none."""
    for _ in range(MAX_STREAMS + 1):
        response = lab.client.head("/events")
        assert response.status_code == 200
        response.close()
    streams = [stream(lab) for _ in range(MAX_STREAMS)]
    response = lab.client.get("/events")
    assert response.status_code == 503
    assert f"there are {MAX_STREAMS} event streams" in failure(response)
    assert lab.client.get("/events", headers=JSON).status_code == 200
    streams.pop().close()
    again = stream(lab)
    assert again.status_code == 200
    for each in [*streams, again]:
        each.close()


def test_the_end_of_the_log_ends_streams(lab: Lab) -> None:
    """A load balancer that stops does not wait for its watchers."""
    response = stream(lab)
    lab.events.close()
    assert read(response, 9) == [": ringlab\n\n"]


def test_metrics(lab: Lab) -> None:
    """In Prometheus's text format."""
    response = lab.client.get("/metrics")
    assert response.content_type.startswith("text/plain; version=0.0.4")
    assert 'ringlab_replica_state{replica="Server1",state="alive"} 1.0' in response.text


def test_the_page(lab: Lab) -> None:
    """It is there, its files are, and nothing else is."""
    response = lab.client.get("/dashboard")
    assert (response.status_code, response.mimetype) == (200, "text/html")
    response.close()
    response = lab.client.get("/dashboard/index.html")
    assert response.status_code == 200
    response.close()
    for path in ("/dashboard/../app.py", "/dashboard/%2e%2e/app.py"):
        assert lab.client.get(path).status_code == 404
