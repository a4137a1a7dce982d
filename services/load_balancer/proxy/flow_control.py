"""Backpressure: who may not read because somebody else cannot write.

A slow reader on one side must slow down the writer on the other, or the bytes between them pile up
in our memory. asyncio tells a protocol when its own buffer is full (`pause_writing`); the answer is
to stop reading where the bytes come from.
"""

from __future__ import annotations

import asyncio

MAX_WAITING_BYTES = 64 * 1024  # of a request body, before its connection is there

# Reasons not to read, one bit each. Plain integers: IntFlag's operators take a microsecond each.
PEER_SLOW = 1  # the other side's write buffer is full
BODY_WAITS = 2  # a request body has no connection to go to yet
PIPELINE_FULL = 4  # requests wait behind one that is not answered yet


class ReadGate:
    """Reading from `transport` goes on while no reason stands against it."""

    __slots__ = ("_reasons", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._reasons = 0

    @property
    def is_open(self) -> bool:
        return not self._reasons

    def close(self, reason: int) -> None:
        if not self._reasons and not self._transport.is_closing():
            self._transport.pause_reading()
        self._reasons |= reason

    def open(self, reason: int) -> None:
        if self._reasons & reason:
            self._reasons &= ~reason
            if not self._reasons and not self._transport.is_closing():
                self._transport.resume_reading()
