"""What the views work on."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, cast

from flask import current_app

from load_balancer.controller import Controller
from load_balancer.events import EventLog
from load_balancer.live import LiveFeed
from load_balancer.membership import Membership
from load_balancer.metrics import Metrics
from load_balancer.proxy.server import Server
from load_balancer.settings import Settings

EXTENSION = "load_balancer"


@dataclass(frozen=True)
class Context:
    settings: Settings
    membership: Membership
    controller: Controller
    server: Server
    events: EventLog
    metrics: Metrics
    live: LiveFeed
    loop: asyncio.AbstractEventLoop

    def run(self, command: Coroutine[Any, Any, None]) -> None:
        """Runs a controller's command on the event loop; returns or raises as it does."""
        asyncio.run_coroutine_threadsafe(command, self.loop).result()


def context() -> Context:
    """The context of the application that serves the current request."""
    return cast(Context, current_app.extensions[EXTENSION])
