"""The log: each line is JSON, and an event's is the event."""

import json
import logging

import pytest
from load_balancer.events import EventLog
from load_balancer.log import JsonLines


def line(record: logging.LogRecord) -> dict[str, object]:
    text = JsonLines().format(record)
    assert "\n" not in text
    return json.loads(text)


def test_a_message(caplog: pytest.LogCaptureFixture) -> None:
    """With its time and level."""
    with caplog.at_level(logging.INFO):
        logging.getLogger("any").warning("replacing %s: %s", "Server2", "it is\ngone")
    (record,) = caplog.records
    assert line(record) == {
        "time": round(record.created, 6),
        "level": "warning",
        "message": "replacing Server2: it is\ngone",
    }


def test_an_event(caplog: pytest.LogCaptureFixture) -> None:
    """To the letter what `/events` has, so that one can be found by the other."""
    events = EventLog()
    with caplog.at_level(logging.INFO):
        events.record("joined", hostname="Server1", server_id=1)
    (record,), (event,) = caplog.records, events.since(0)
    assert line(record) == event.as_dict()


def test_an_error(caplog: pytest.LogCaptureFixture) -> None:
    """With where it happened, still on one line."""
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("any").exception("failed")
    traceback = str(line(caplog.records[0])["traceback"])
    assert traceback.startswith("Traceback")
    assert traceback.endswith("ValueError: broken")
