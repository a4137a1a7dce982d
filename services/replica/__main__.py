"""Serve the replica: `SERVER_ID=Server1 python -m replica`.

SERVER_ID           what stands after "Hello from Server: "
REPLICA_BIND        host:port to listen on; default 0.0.0.0:5000
REPLICA_LISTEN_FD   descriptor of an inherited, bound TCP socket to serve instead: whoever starts
                    the replica then knows its port beforehand, and nobody can take it meanwhile

SIGTERM ends the process with exit code 0. The handler is installed by ourselves because a
container's process 1 has no default one: the kernel would drop the signal.
"""

import logging
import os
import signal
import socket
import sys
from collections.abc import Mapping

from waitress import create_server

from replica import create_app

# Measured at concurrency 100: 2 threads 1,000 requests/s, 4 threads 1,200, 8 threads 1,400.
NUM_THREADS = 8
# More than the load balancer's pool, 256 and 640 uploads, and its heartbeats (waitress's own 100 is
# too few), and below the usual soft limit of 1024 open files.
CONNECTION_LIMIT = 1000
# What the kernel queues while the process is frozen: a paused replica accepts and stays silent.
BACKLOG = 1024
# Longer than a client keeps an idle connection (60 s in nginx), so that the client is the one who
# closes it and no request meets a connection that is just going away.
CHANNEL_TIMEOUT_S = 120
# An answer is shorter, and so leaves in one piece: struck between head and body, a replica would
# have answered by half, and the load balancer could not take the head back.
SEND_BYTES = 18_000


def listen_options(environment: Mapping[str, str]) -> dict[str, object]:
    """Waitress's keyword for where to listen."""
    if listen_fd := environment.get("REPLICA_LISTEN_FD"):
        return {"sockets": [socket.socket(fileno=int(listen_fd))]}
    return {"listen": environment.get("REPLICA_BIND", "0.0.0.0:5000")}


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    # One line for every request that waits for a thread: normal under load, and no news.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    server_id = os.environ.get("SERVER_ID")
    if not server_id:
        sys.exit("SERVER_ID is not set: the replica does not know its name")
    server = create_server(
        create_app(server_id),
        **listen_options(os.environ),
        threads=NUM_THREADS,
        connection_limit=CONNECTION_LIMIT,
        backlog=BACKLOG,
        channel_timeout=CHANNEL_TIMEOUT_S,
        send_bytes=SEND_BYTES,
        asyncore_use_poll=True,  # select() cannot watch descriptors above 1023
    )
    server.run()


if __name__ == "__main__":
    main()
