"""The provisioner's HTTP calls: parse, take the name's lock, let the runtime do it."""

from dataclasses import asdict
from threading import Lock
from typing import Any
from weakref import WeakValueDictionary

from flask import Blueprint, Request, request
from werkzeug.exceptions import BadRequest

from provisioner.errors import InvalidRequest
from provisioner.runtimes.base import Runtime, parse_hostname

DEFAULT_GRACE_S = 2
MAX_GRACE_S = 60
# The widest integer that every consumer of the label can hold.
MAX_SERVER_ID = 2**31 - 1


class NameLocks:
    """One lock for each name that somebody holds or waits for, and no more."""

    def __init__(self) -> None:
        self._guard = Lock()
        self._locks: WeakValueDictionary[str, Lock] = WeakValueDictionary()

    def of(self, name: str) -> Lock:
        with self._guard:
            return self._locks.setdefault(name, Lock())


def replica_views(runtime: Runtime) -> Blueprint:
    """The blueprint over one runtime; it owns the locks that serialise calls for one hostname."""
    views = Blueprint("replicas", __name__)
    locks = NameLocks()
    faults = {"kill": runtime.kill, "pause": runtime.pause, "resume": runtime.resume}

    @views.get("/healthz")
    def healthz() -> dict[str, str]:
        runtime.check()
        return {"runtime": runtime.name}

    @views.get("/replicas")
    def index() -> dict[str, Any]:
        replicas = sorted(runtime.list(), key=lambda replica: (replica.server_id, replica.hostname))
        return {"replicas": [asdict(replica) for replica in replicas]}

    @views.put("/replicas/<hostname>")
    def create_or_replace(hostname: str) -> tuple[dict[str, Any], int]:
        name, server_id = parse_hostname(hostname), parse_server_id(request)
        with locks.of(name):
            return asdict(runtime.create_or_replace(name, server_id)), 201

    @views.delete("/replicas/<hostname>")
    def remove(hostname: str) -> tuple[str, int]:
        name, grace_s = parse_hostname(hostname), parse_grace_s(request.args.get("grace_s"))
        with locks.of(name):
            runtime.remove(name, grace_s=grace_s)
        return "", 204

    @views.post("/replicas/<hostname>/<any(kill, pause, resume):fault>")
    def inject(hostname: str, fault: str) -> tuple[str, int]:
        name = parse_hostname(hostname)
        with locks.of(name):
            faults[fault](name)
        return "", 204

    return views


def parse_server_id(http_request: Request) -> int:
    """The id in the body {"server_id": 3}. InvalidRequest for any other JSON, or none."""
    try:
        body = http_request.get_json()
    except BadRequest as error:
        raise InvalidRequest("the body is not JSON") from error
    server_id = body.get("server_id") if isinstance(body, dict) and len(body) == 1 else None
    # type(), because True is an int as well.
    if type(server_id) is not int or not 0 <= server_id <= MAX_SERVER_ID:
        wanted = f'{{"server_id": 0 to {MAX_SERVER_ID}}}'
        raise InvalidRequest(f"the body must be {wanted}, got {str(body)[:80]}")
    return server_id


def parse_grace_s(text: str | None) -> int:
    """Seconds of grace. InvalidRequest unless an integer from 0 to MAX_GRACE_S."""
    if text is None:
        return DEFAULT_GRACE_S
    if not (text.isascii() and text.isdigit() and int(text[:9]) <= MAX_GRACE_S):
        raise InvalidRequest(f"grace_s must be 0 to {MAX_GRACE_S}, got {text[:80]!r}")
    return int(text)
