"""Looking on: the stream of events, and the counters."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

from apiflask import APIBlueprint
from flask import Response, request
from werkzeug.exceptions import ServiceUnavailable

from load_balancer import forecast
from load_balancer.admin.context import Context, context
from load_balancer.admin.schemas import EventsQuery
from load_balancer.errors import BadRequest

blueprint = APIBlueprint("observation", __name__, tag="Observation")

MAX_STREAMS = 40  # each holds a thread of the admin API
KEEPALIVE_S = 5.0
SAMPLES_S = 1.0
SHARED_S = 0.2

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
    `since`. With `samples=1` an event `requests` without a number tells, once a second or so, some
    of the requests that were answered: by which `replica`, and their `place` on the ring, in 0..1.
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
    response = Response(_stream(last_id, query_data.samples), mimetype="text/event-stream")
    response.call_on_close(_streams.release)
    response.headers["Cache-Control"] = "no-store"
    return response


def _stream(last_id: int, with_samples: bool) -> Iterator[str]:
    events = context().events
    if not with_samples:
        return events.stream(last_id, keepalive_s=KEEPALIVE_S)
    return _sampled(events.stream(last_id, keepalive_s=SAMPLES_S), context())


def _sampled(events: Iterator[str], context: Context) -> Iterator[str]:
    sampler = context.server.sampler
    seen = max((sample.number for sample in sampler.since(0)), default=0)
    for event in events:  # a comment at least, as often as samples are told
        yield event
        if samples := sampler.since(seen):
            seen = samples[-1].number
            ring = context.membership.ring
            told = [
                {"replica": each.hostname, "place": forecast.place(ring, each.key)}
                for each in samples
            ]
            yield f"event: requests\ndata: {json.dumps(told)}\n\n"


@blueprint.get("/metrics")
@blueprint.doc(responses={200: _METRICS})
def get_metrics() -> Response:
    """Counters in Prometheus's text format.

    As they are now; who says `Cache-Control: max-age=1` may get what another was told up to a fifth
    of a second ago, so that a class of live pages costs hardly more than one.
    """
    max_age_s = request.cache_control.max_age or 0
    text = context().metrics.text(min(max_age_s, SHARED_S))
    return Response(text, content_type="text/plain; version=0.0.4")
