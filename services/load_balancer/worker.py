"""One more data plane on this machine, as `workers.py` starts it:
`python -m load_balancer.worker SOCKET NAME`, with the settings on standard input, which stays open
for as long as it is to run."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from load_balancer import follow
from load_balancer.process import run, told_to_stop
from load_balancer.settings import Settings


async def serve(settings: Settings, followed: Path, name: str) -> None:
    stop = told_to_stop(signal.SIGTERM)
    loop = asyncio.get_running_loop()
    # A terminal's Ctrl-C is for the first of us to obey.
    loop.add_signal_handler(signal.SIGINT, lambda: None)

    def stdin_ended() -> None:  # nothing comes there any more but the end
        loop.remove_reader(sys.stdin.fileno())
        stop.set()

    loop.add_reader(sys.stdin.fileno(), stdin_ended)
    await follow.serve(settings, followed, name, stop)


def main() -> None:
    followed, name = sys.argv[1:]
    if given := sys.stdin.buffer.readline():
        run(serve(Settings.model_validate_json(given), Path(followed), name))


if __name__ == "__main__":
    main()
