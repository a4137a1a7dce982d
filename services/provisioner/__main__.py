"""Serve the provisioner: `python -m provisioner`, configured by PROVISIONER_* (see `settings`).

SIGTERM ends it with exit code 0: operations under way have 5 s to finish (waitress's own limit),
and replicas stay as they are.
"""

import logging
import signal
import sys

import waitress
from pydantic import ValidationError

from provisioner import create_app
from provisioner.errors import SocketInUse
from provisioner.runtimes import make_runtime
from provisioner.settings import Settings
from provisioner.tcp_socket import bind_tcp_socket, with_token
from provisioner.unix_socket import PeerCheckedServer, bind_unix_socket

# Each operation waits for the engine, not for the interpreter: as many run at once.
NUM_THREADS = 8
# Above Flask's limit, whose refusal has the common shape; this one only protects memory.
MAX_WIRE_BODY_BYTES = 1024 * 1024


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        settings = Settings()
        runtime = make_runtime(settings)
        listener = bind_unix_socket(settings.socket)
        tcp_listener = bind_tcp_socket(settings.bind) if settings.bind else None
    except (ValidationError, SocketInUse, OSError) as error:
        sys.exit(f"provisioner: {error}")
    app = create_app(runtime)
    server = PeerCheckedServer(
        app,
        listener,
        threads=NUM_THREADS,
        max_request_body_size=MAX_WIRE_BODY_BYTES,
    )
    if tcp_listener is not None:
        waitress.create_server(  # registers itself in the first one's map, which is what runs
            with_token(app, settings.token),
            map=server._map,
            _dispatcher=server.task_dispatcher,
            sockets=[tcp_listener],
            max_request_body_size=MAX_WIRE_BODY_BYTES,
        )
    places = [str(settings.socket), *filter(None, [settings.bind])]
    logging.getLogger("provisioner").info(
        "runtime %s, serving on %s", runtime.name, " and ".join(places)
    )
    server.run()
    settings.socket.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
