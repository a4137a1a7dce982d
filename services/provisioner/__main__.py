"""Serve the provisioner: `python -m provisioner`, configured by PROVISIONER_* (see `settings`).

SIGTERM ends it with exit code 0: operations under way have 5 s to finish (waitress's own limit),
and replicas stay as they are.
"""

import logging
import signal
import sys

from pydantic import ValidationError

from provisioner import create_app
from provisioner.errors import SocketInUse
from provisioner.runtimes import make_runtime
from provisioner.settings import Settings
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
    except (ValidationError, SocketInUse, OSError) as error:
        sys.exit(f"provisioner: {error}")
    server = PeerCheckedServer(
        create_app(runtime),
        listener,
        threads=NUM_THREADS,
        max_request_body_size=MAX_WIRE_BODY_BYTES,
    )
    logging.getLogger("provisioner").info(
        "runtime %s, serving on %s", runtime.name, settings.socket
    )
    server.run()
    settings.socket.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
