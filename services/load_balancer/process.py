"""How each of our processes begins: its log, its limits, its loop, and the signal to end."""

from __future__ import annotations

import asyncio
import gc
import resource
import signal
import sys
from collections.abc import Coroutine
from typing import Any

import uvloop

from load_balancer import log
from load_balancer.errors import LoadBalancerError


def run(serving: Coroutine[Any, Any, None]) -> None:
    """Runs it to its end; what it cannot do is told in one line, with exit code 1."""
    _raise_descriptor_limit()
    log.configure()
    try:
        uvloop.run(serving)
    except (OSError, LoadBalancerError) as error:
        sys.exit(f"load_balancer: {error}")


def told_to_stop(*signals: signal.Signals) -> asyncio.Event:
    """Is set by any of these signals."""
    stop = asyncio.Event()
    for number in signals:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def spare_the_collector() -> None:
    """What is here now stays as long as the process: looking for garbage in it takes milliseconds
    in which nobody is answered. Requests leave none; what commands leave may wait."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)


def _raise_descriptor_limit() -> None:
    """A connection takes a descriptor on either side; what is allowed us is often more than what
    we are given at first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
