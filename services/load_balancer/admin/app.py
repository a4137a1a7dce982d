"""The application: its blueprints, who may call, and the one shape of every error."""

from __future__ import annotations

import hmac
import logging
from urllib.parse import SplitResult, urlsplit

from apiflask import APIFlask, HTTPError
from flask import Response, jsonify, request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import BadRequest, Forbidden, Unauthorized, UnsupportedMediaType
from werkzeug.exceptions import HTTPException as WerkzeugError

from load_balancer.admin import contract, dashboard, faults, observation, replicas, ring
from load_balancer.admin.context import EXTENSION, Context, context
from load_balancer.errors import LoadBalancerError

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 64 * 1024
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def create_app(its_context: Context) -> APIFlask:
    app = APIFlask(__name__, title="ringlab", version="1", docs_path=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.config["VALIDATION_ERROR_STATUS_CODE"] = 400
    app.extensions[EXTENSION] = its_context
    for module in (replicas, faults, ring, observation, dashboard):
        app.register_blueprint(module.blueprint)
    app.before_request(_guard)
    app.error_processor(_api_error)
    app.spec_processor(contract.complete)
    app.register_error_handler(LoadBalancerError, _our_error)
    app.register_error_handler(WerkzeugError, _werkzeug_error)
    app.register_error_handler(RecursionError, _nested_too_deeply)
    app.register_error_handler(Exception, _unexpected_error)
    return app


def _guard() -> None:
    """Only a person at this machine, or one who has the token, may call."""
    settings = context().settings
    host = _split(f"//{request.host}").hostname or ""
    accepted = LOOPBACK_NAMES | {settings.bind_address[0], *settings.allowed_hosts}
    if host not in accepted:
        # A page whose name was rebound to 127.0.0.1 reaches us with its own name in Host.
        raise Forbidden(f"Host must be one of {', '.join(sorted(accepted))}, got {host!r}")
    origin = request.headers.get("Origin")
    if origin is not None and _split(origin).netloc != request.host:
        raise Forbidden(f"Origin must be this server's, got {origin!r}")
    if settings.admin_token and not hmac.compare_digest(
        _given_token().encode(), settings.admin_token.encode()
    ):
        raise Unauthorized(
            "Authorization must carry this lab's admin token: Bearer, or as Basic's password",
            www_authenticate=WWWAuthenticate("basic", {"realm": "ringlab"}),
        )
    if request.routing_exception is not None:
        return  # there is no such call, and that is what will be said
    if request.method in ("POST", "PUT", "DELETE") and not request.is_json:
        # Other types can be sent from any page's form without asking us first.
        raise UnsupportedMediaType(
            f"Content-Type must be application/json, got {request.content_type!r}"
        )


def _split(url: str) -> SplitResult:
    """Its parts; all empty if it is none, for what cannot be read cannot be trusted either."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def _given_token() -> str:
    """The token as programs send it, or as a browser does that has asked its user."""
    authorization = request.authorization
    if authorization is None:
        return ""
    return authorization.token or authorization.password or ""


def _failure(status: int, message: str) -> Response:
    response = jsonify(message=f"<Error> {message}", status="failure")
    response.status_code = status
    return response


def _our_error(error: LoadBalancerError) -> Response:
    return _failure(error.http_status, str(error))


def _werkzeug_error(error: WerkzeugError) -> Response:
    message = error.description or error.name
    if isinstance(error, BadRequest) and request.is_json:
        message = "the body must be JSON"
    response = _failure(error.code or 500, message)
    for name, value in error.get_headers():
        if name in ("Allow", "Retry-After", "WWW-Authenticate"):
            response.headers[name] = value
    return response


def _nested_too_deeply(_: RecursionError) -> Response:
    """The JSON parser's: a body within its limit of size can have thousands of brackets."""
    return _failure(400, "the body must be JSON")


def _api_error(error: HTTPError) -> Response:
    """APIFlask's, for input that does not fit its schema."""
    fields: dict[str, list[str]] = next(iter(error.detail.values()), {}) if error.detail else {}
    faults = [_fault(name, message) for name, messages in fields.items() for message in messages]
    return _failure(error.status_code, "; ".join(faults) or str(error.message))


def _fault(name: str, message: str) -> str:
    """Our own messages name their field, or are about the whole; pydantic's need the name."""
    return message if message.startswith(f"{name} ") or name == "_schema" else f"{name}: {message}"


def _unexpected_error(error: Exception) -> Response:
    logger.exception("admin call failed")
    return _failure(500, f"unexpected {type(error).__name__}; the log tells more")
