"""Runs one chapter of the benchmarks: `python -m benchmarks data_plane --help`."""

from __future__ import annotations

import argparse
import signal
import sys

from benchmarks.data_plane import command as data_plane
from benchmarks.errors import BenchmarkError
from benchmarks.ring import command as ring
from benchmarks.workers import command as workers

CHAPTERS = {"data_plane": data_plane, "ring": ring, "workers": workers}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    chapters = parser.add_subparsers(metavar="CHAPTER", required=True)
    for name, chapter in CHAPTERS.items():
        its = chapters.add_parser(name, help=chapter.__doc__, description=chapter.__doc__)
        chapter.add_options(its)
        its.set_defaults(run=chapter.run)
    options = parser.parse_args()
    # Asked to end, it stops what it has started, as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        options.run(options)
    except BenchmarkError as error:
        sys.exit(f"benchmarks: {error}")
    except KeyboardInterrupt:
        sys.exit("benchmarks: interrupted, nothing is stored")


if __name__ == "__main__":
    main()
