"""End the processes that carry a mark in their environment, as containers carry a label.

    python end_leftovers.py RINGLAB_DIRECTORY=/path/to/.ringlab/ringlab

What a supervisor started outlives it when it is killed. SIGTERM first, SIGKILL after ten seconds.
Prints the number of processes ended. Source: proc_pid_environ(5).
"""

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

GRACE_S = 10


def marked(mark: str) -> set[int]:
    """Pids of the processes of ours whose environment holds the mark."""
    pids = set()
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # somebody else's, or ended meanwhile
            if mark.encode() in environ.read_bytes().split(b"\0"):
                pids.add(int(environ.parent.name))
    return pids - {os.getpid()}


def main(mark: str) -> None:
    ended = marked(mark)
    deadline_s = time.monotonic() + GRACE_S
    while pids := marked(mark):
        late = time.monotonic() > deadline_s
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
        time.sleep(0.2)
    print(len(ended))


if __name__ == "__main__":
    main(sys.argv[1])
