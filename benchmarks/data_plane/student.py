"""The usual student's balancer, re-created: Flask's development server, which takes a thread for
each connection and closes it after the answer; the assignment's ring, searched slot by slot; and
`requests` without a session, so that each request opens a connection to its server, too.

Kinder than most: no log line per request, no `docker` command in between, methods and bodies pass.
Run as `python -m benchmarks.data_plane.student PORT ADDRESS...`, with addresses as HOST:PORT.
"""

from __future__ import annotations

import logging
import random
import sys

import requests
from flask import Flask, Response, request

SLOTS = 512
VIRTUAL_NODES = 9

app = Flask(__name__)
ring: list[str | None] = [None] * SLOTS


def add_server(server_id: int, address: str) -> None:
    for j in range(VIRTUAL_NODES):
        slot = (server_id**2 + j**2 + 2 * j + 25) % SLOTS
        while ring[slot] is not None:
            slot = (slot + 1) % SLOTS
        ring[slot] = address


def get_server(request_id: int) -> str | None:
    slot = (request_id**2 + 2 * request_id + 17) % SLOTS
    while ring[slot] is None:
        slot = (slot + 1) % SLOTS
    return ring[slot]


@app.route("/<path:path>", methods=["GET", "POST", "PUT", "DELETE"])
def forward(path: str) -> Response:
    request_id = int(request.headers.get("X-Request-ID", random.randint(100000, 999999)))
    server = get_server(request_id)
    url = f"http://{server}/{path}"
    if request.method == "GET":
        answer = requests.get(url)
    else:
        answer = requests.request(request.method, url, data=request.get_data())
    headers = {"Content-Type": answer.headers["Content-Type"], "X-Replica": str(server)}
    return Response(answer.content, answer.status_code, headers)


if __name__ == "__main__":
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    for server_id, address in enumerate(sys.argv[2:], start=1):
        add_server(server_id, address)
    app.run(host="127.0.0.1", port=int(sys.argv[1]), threaded=True)
