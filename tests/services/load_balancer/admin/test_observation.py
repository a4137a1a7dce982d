"""Looking on: events as a stream and as a list, counters, and the page."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from load_balancer.admin import observation
from load_balancer.admin.observation import MAX_STREAMS
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


@pytest.mark.parametrize("change", [{"preset": "assignment"}, {"algorithm": "jump"}])
def test_samples_of_requests(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, change: dict[str, str]
) -> None:
    """Who asks for them is told some requests beside the events: where they land, and with whom.
    Those of before are not told; they have no number, so that nobody resumes behind one."""
    monkeypatch.setattr(observation, "SAMPLES_S", 0.001)
    lab.client.put("/ring", json=change)
    lab.samples.append(Sample(1, 10, "Server1"))
    response = stream(lab, "/events?samples=1")
    parts = (part.decode() for part in response.response)
    assert next(parts) == ": ringlab\n\n"
    lab.samples += [Sample(2, 11, "Server2"), Sample(3, 12, "Server3")]
    told = next(part for part in parts if not part.startswith(":"))
    response.close()
    head, _, data = told.partition("data: ")
    assert head == "event: requests\n"
    requests = json.loads(data)
    assert [request["replica"] for request in requests] == ["Server2", "Server3"]
    ring = lab.membership.ring
    if isinstance(ring, Circle):
        assert [request["place"] for request in requests] == [
            ring.key_slot(key) / 512 for key in (11, 12)
        ]
    else:
        assert all(0 <= request["place"] < 1 for request in requests)


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


def test_who_bears_some_age_is_told_what_another_was(lab: Lab) -> None:
    """By the request's Cache-Control; whoever does not say so is told what is so now."""
    shared = {"Cache-Control": "max-age=1"}
    first = lab.client.get("/metrics", headers=shared).text
    assert lab.client.get("/metrics", headers=shared).text == first
    lab.client.delete("/rm", json={"n": 1, "hostnames": ["Server1"]})
    assert "Server1" not in lab.client.get("/metrics").text


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
