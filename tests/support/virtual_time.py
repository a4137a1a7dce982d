"""An event loop on which waiting takes no time."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any


class Loop(asyncio.SelectorEventLoop):
    """Its clock jumps to the next timer when there is nothing else to do."""

    def __init__(self) -> None:
        self.now = 1000.0
        super().__init__(Selector(self))

    def time(self) -> float:
        return self.now


class Selector(selectors.SelectSelector):
    def __init__(self, loop: Loop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        events = super().select(None if timeout is None else 0)
        if not events and timeout:
            self._loop.now += timeout
        return events
