"""What happened to the lab, in order: a bounded log that `/events` streams.

Written on the event loop, read by the admin API's threads.
"""

from __future__ import annotations

import itertools
import json
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass

logger = logging.getLogger(__name__)

KEPT = 1000  # events a late subscriber can still ask for
STILL_HERE = ": still here\n\n"  # a comment, so that a reader who has gone is noticed


@dataclass(frozen=True)
class Event:
    """`kind` is one of joined, suspect, alive, dead, replaced, draining, drained, ejected,
    readmitted, ring, ended."""

    id: int
    time: float  # seconds since the epoch
    kind: str
    detail: dict[str, object]

    def as_dict(self) -> dict[str, object]:
        return {"id": self.id, "time": self.time, "kind": self.kind, **self.detail}

    def as_json(self) -> str:
        return json.dumps(self.as_dict())

    def as_server_sent(self) -> str:
        """The WHATWG event-stream framing: its id lets a browser resume where it was cut."""
        return f"id: {self.id}\nevent: {self.kind}\ndata: {self.as_json()}\n\n"


class EventLog:
    def __init__(self) -> None:
        self._events: deque[Event] = deque(maxlen=KEPT)
        self._ids = itertools.count(1)
        self._changed = threading.Condition(threading.RLock())
        self._closed = False
        self.counts = Counter[str]()  # by kind, of all there ever were

    def record(self, kind: str, **detail: object) -> None:
        with self._changed:
            event = Event(next(self._ids), round(time.time(), 6), kind, detail)
            self.counts[kind] += 1
            self._events.append(event)
            self._changed.notify_all()
        logger.info("%s", event.as_json(), extra={"event": event})

    def since(self, last_id: int) -> list[Event]:
        """The kept events that came after the one numbered `last_id`, oldest first; all of them if
        there was no such event yet, for then somebody counts on from an earlier process."""
        with self._changed:
            last_id = last_id if last_id <= self.last_id else 0
            return [event for event in self._events if event.id > last_id]

    @property
    def last_id(self) -> int:
        with self._changed:
            return self._events[-1].id if self._events else 0

    def close(self) -> None:
        """Ends all streams."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def stream(self, last_id: int, *, keepalive_s: float) -> Iterator[str]:
        """Server-sent events after `last_id`, forever; STILL_HERE when nothing has happened for
        `keepalive_s`."""
        yield ": ringlab\n\n"
        while True:
            with self._changed:
                events = self.since(last_id)
                if not (events or self._closed):
                    self._changed.wait(keepalive_s)
                    events = self.since(last_id)
            if self._closed:
                return
            if not events:
                yield STILL_HERE
            for event in events:
                last_id = event.id
                yield event.as_server_sent()
