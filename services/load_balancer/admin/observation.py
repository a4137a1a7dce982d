"""Looking on: the stream of events, and the counters."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from apiflask import APIBlueprint
from flask import Response, request
from werkzeug.exceptions import ServiceUnavailable

from load_balancer.admin.context import context
from load_balancer.admin.schemas import EventsQuery
from load_balancer.errors import BadRequest
from load_balancer.events import STILL_HERE
from load_balancer.live import EVERY_S, LiveFeed

blueprint = APIBlueprint("observation", __name__, tag="Observation")

MAX_STREAMS = 40  # each holds a thread of the admin API
KEEPALIVE_S = 5.0

_EVENTS: Any = {
    "description": "Events",
    "content": {
        "text/event-stream": {"schema": {"type": "string"}},
        "application/json": {"schema": {"type": "array", "items": {"type": "object"}}},
    },
}
_METRICS: Any = {
    "description": "Counters",
    "content": {"text/plain": {"schema": {"type": "string"}}},
}

_streams = threading.BoundedSemaphore(MAX_STREAMS)


@blueprint.get("/events")
@blueprint.input(EventsQuery, location="query")
@blueprint.doc(responses={200: _EVENTS})
def get_events(query_data: EventsQuery) -> Response:
    """What happens from now on, or after event `since`, as server-sent events.

    With `Accept: application/json`, what has happened, as a list. `Last-Event-ID` counts before
    `since`. With `live=1` an event `live`, without a number, tells at once and then every second
    the counters of each replica, and some of the requests that were answered since: by which
    `replica`, and their `place` on the ring, in 0..1.
    """
    events = context().events
    since = query_data.since if "since" in query_data.model_fields_set else None
    if (resumed := request.headers.get("Last-Event-ID")) is not None:
        if not (resumed.isascii() and resumed.isdecimal()):
            raise BadRequest(f"Last-Event-ID must be the number of an event, got {resumed!r}")
        since = int(resumed)
    wants_json = request.accept_mimetypes.best_match(["text/event-stream", "application/json"])
    if wants_json == "application/json":
        return Response(
            "[" + ",".join(event.as_json() for event in events.since(since or 0)) + "]",
            mimetype="application/json",
        )
    if not _streams.acquire(blocking=False):
        raise ServiceUnavailable(f"there are {MAX_STREAMS} event streams, and no room for more")
    last_id = events.last_id if since is None else since
    response = Response(_stream(last_id, query_data.live), mimetype="text/event-stream")
    response.call_on_close(_streams.release)
    response.headers["Cache-Control"] = "no-store"
    return response


def _stream(last_id: int, is_live: bool) -> Iterator[str]:
    events, live = context().events, context().live
    if is_live:
        return _with_live(events.stream(last_id, keepalive_s=EVERY_S), live)
    return events.stream(last_id, keepalive_s=KEEPALIVE_S)


def _with_live(events: Iterator[str], live: LiveFeed) -> Iterator[str]:
    """One part for each event, or, in place of a comment, for what is live."""
    yield next(events)
    number, message = live.latest()
    yield message
    for event in events:
        before = number
        number, message = live.latest()
        if number == before:
            yield event
        else:
            yield message if event == STILL_HERE else event + message


@blueprint.get("/metrics")
@blueprint.doc(responses={200: _METRICS})
def get_metrics() -> Response:
    """Counters in Prometheus's text format."""
    return Response(context().metrics.text(), content_type="text/plain; version=0.0.4")
