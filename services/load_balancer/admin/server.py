"""waitress, in threads of this process, behind a Unix socket that only the data plane knows."""

from __future__ import annotations

import threading
from pathlib import Path

import waitress.server
from flask import Flask

THREADS = 48  # a class that watches holds one each: see observation.MAX_STREAMS
# Of who reads slowly or not at all; then its thread waits, and a stream skips what is not kept.
MAX_UNREAD_BYTES = 256 * 1024


class AdminServer:
    """Serves `app` on `socket` from its making until `close`."""

    def __init__(self, app: Flask, socket: Path) -> None:
        self._server = waitress.server.create_server(
            app,
            unix_socket=str(socket),
            threads=THREADS,
            outbuf_high_watermark=MAX_UNREAD_BYTES,
            ident=None,
            clear_untrusted_proxy_headers=True,
        )
        self._thread = threading.Thread(target=self._server.run, name="admin", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.close()
        self._server.task_dispatcher.shutdown(timeout=1)
