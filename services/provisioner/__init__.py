"""The provisioner: starts, stops and kills replicas. The one place that knows Docker.

An internal service of the lab: JSON over HTTP on a Unix socket, called by the load balancer.
"""

import logging
import time

import werkzeug
from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from provisioner.errors import ProvisionerError
from provisioner.runtimes.base import Runtime
from provisioner.views import replica_views

logger = logging.getLogger(__name__)

# The only body there is holds one integer; 64 KiB is the lab's bound everywhere.
MAX_BODY_BYTES = 64 * 1024


def create_app(runtime: Runtime) -> Flask:
    """Flask app over one runtime. Every error has the shape of `error_body`."""
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.url_map.merge_slashes = False  # a path with // is unknown, not redirected
    app.register_blueprint(replica_views(runtime))

    @app.errorhandler(ProvisionerError)
    def refused(error: ProvisionerError) -> tuple[dict[str, str], int]:
        return error_body(str(error)), error.http_status

    @app.errorhandler(HTTPException)
    def not_served(error: HTTPException) -> werkzeug.Response:
        """What Flask itself refuses (404, 405, 413, 415), and 500 for our bugs."""
        response = error.get_response()  # has the headers that go with it, such as Allow
        response.data = app.json.dumps(error_body(f"{error.name}: {request.method} {request.path}"))
        response.content_type = "application/json"
        return response

    @app.before_request
    def start_clock() -> None:
        g.started_s = time.monotonic()

    @app.after_request
    def log(response: Response) -> Response:
        """One line for each operation and for whatever failed; reads that succeed are silent."""
        if request.method != "GET" or response.status_code >= 400:
            elapsed_ms = (time.monotonic() - g.started_s) * 1000
            logger.info(
                "%s %a %d %.0f ms %s",
                request.method,
                request.path,
                response.status_code,
                elapsed_ms,
                response.get_data(as_text=True).strip(),
            )
        return response

    return app


def error_body(message: str) -> dict[str, str]:
    """The one shape of every error in the lab."""
    return {"message": f"<Error> {message}", "status": "failure"}
