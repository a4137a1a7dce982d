"""The live page: static files, which then use the admin API like anybody else."""

from __future__ import annotations

from pathlib import Path

from apiflask import APIBlueprint
from flask import Response, send_from_directory

blueprint = APIBlueprint("dashboard", __name__, enable_openapi=False)

_FILES = Path(__file__).parent / "dashboard_page"


@blueprint.get("/dashboard")
def get_page() -> Response:
    return send_from_directory(_FILES, "index.html")


@blueprint.get("/dashboard/<path:name>")
def get_file(name: str) -> Response:
    return send_from_directory(_FILES, name)
