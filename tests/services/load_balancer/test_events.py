"""The log of events, and the stream of them."""

import json
import threading
from collections.abc import Callable

import pytest
from load_balancer.events import KEPT, EventLog


@pytest.fixture
def events() -> EventLog:
    return EventLog()


def test_events_are_numbered(events: EventLog) -> None:
    """From 1, in order; whoever asks gets those behind the number."""
    assert events.last_id == 0
    for hostname in ("Server1", "Server2", "Server3"):
        events.record("joined", hostname=hostname)
    assert [(event.id, event.detail["hostname"]) for event in events.since(1)] == [
        (2, "Server2"),
        (3, "Server3"),
    ]
    assert events.last_id == 3


def test_an_event_in_words(events: EventLog) -> None:
    """JSON with its details beside number, time and kind; framed for browsers."""
    events.record("joined", hostname="Server1", server_id=1)
    (event,) = events.since(0)
    data = json.loads(event.as_json())
    assert data == {
        "id": 1,
        "time": event.time,
        "kind": "joined",
        "hostname": "Server1",
        "server_id": 1,
    }
    assert event.as_server_sent() == f"id: 1\nevent: joined\ndata: {event.as_json()}\n\n"


def test_old_events_are_forgotten(events: EventLog) -> None:
    """Memory is bounded; numbers go on."""
    for number in range(KEPT + 5):
        events.record("ring", number=number)
    kept = events.since(0)
    assert (len(kept), kept[0].id, events.last_id) == (KEPT, 6, KEPT + 5)


def test_a_stream_goes_on_from_a_number(events: EventLog) -> None:
    """First what has happened since, then what happens."""
    events.record("joined", hostname="Server1")
    events.record("joined", hostname="Server2")
    stream = events.stream(1, keepalive_s=10)
    assert next(stream) == ": ringlab\n\n"
    assert "Server2" in next(stream)
    events.record("dead", hostname="Server1")
    assert next(stream).startswith("id: 3\nevent: dead\n")


def test_a_quiet_stream_says_so(events: EventLog) -> None:
    """A comment, so that a reader who has gone is noticed."""
    stream = events.stream(0, keepalive_s=0.001)
    next(stream)
    assert next(stream) == ": still here\n\n"


def test_a_stream_wakes_with_an_event(
    events: EventLog, wait_until: Callable[[Callable[[], object]], None]
) -> None:
    """A reader that waits in another thread gets it at once, and the end as well."""
    read: list[str] = []
    thread = threading.Thread(target=lambda: read.extend(events.stream(0, keepalive_s=60)))
    thread.start()
    events.record("dead", hostname="Server1")
    wait_until(lambda: len(read) == 2)
    events.close()
    thread.join(timeout=10)
    assert not thread.is_alive()


def test_a_reader_of_an_earlier_process_starts_over(events: EventLog) -> None:
    """A browser comes back with a number that this process has not reached: it missed all."""
    events.record("joined", hostname="Server1")
    assert [event.id for event in events.since(57)] == [1]
    stream = events.stream(57, keepalive_s=10)
    next(stream)
    assert next(stream).startswith("id: 1\n")
