"""Runs the load balancer: the data plane and the control plane on one event loop, the admin API's
Flask application in threads beside it, behind a Unix socket."""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
import signal
import sys
import tempfile
from pathlib import Path

import uvloop

from load_balancer import log
from load_balancer.admin import AdminServer, Context, create_app
from load_balancer.controller import Controller
from load_balancer.errors import LoadBalancerError
from load_balancer.events import EventLog
from load_balancer.health import Evidence, Thresholds
from load_balancer.heartbeats import Heartbeats
from load_balancer.live import LiveFeed
from load_balancer.membership import Membership
from load_balancer.metrics import Metrics
from load_balancer.provisioner_client import Provisioner, ProvisionerClient
from load_balancer.provisioners import Provisioners
from load_balancer.proxy.server import Server
from load_balancer.routing import Replica
from load_balancer.settings import Settings, from_command_line

logger = logging.getLogger("load_balancer")

GRACE_S = 8.0  # to answer what is in flight at the end; the engine kills after 10 s


async def serve(settings: Settings, admin_socket: Path) -> None:
    """Serves until SIGTERM or SIGINT; then answers what is in flight, and returns."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    events = EventLog()
    thresholds = Thresholds(fall=settings.heartbeat_fall, rise=settings.heartbeat_rise)
    membership = Membership(
        settings.ring(), thresholds, events, keeps_dead=not settings.manages_replicas
    )
    heartbeats = Heartbeats(membership, settings)

    def on_evidence(replica: Replica, evidence: Evidence | None) -> None:
        if evidence is None:
            heartbeats.ask_now(replica)  # it hung up: perhaps to sleep, perhaps because it died
        else:
            membership.suspect(replica)

    server = Server(settings, membership.table, admin_socket, on_evidence, events.record)
    provisioner = _provisioner(settings)
    controller = Controller(membership, server, provisioner, settings, events)
    membership.observers += [server, heartbeats, controller]
    context = Context(
        settings,
        membership,
        controller,
        server,
        events,
        Metrics(server, membership, events),
        LiveFeed(server, membership),
        server.loop,
    )
    admin = AdminServer(create_app(context), admin_socket)
    try:
        if await _begun(controller, stop):
            _spare_the_collector()
            await server.listen()
            logger.info("serving on http://%s", settings.bind)
            await stop.wait()
    finally:
        logger.info("stopping")
        events.close()
        await server.close(GRACE_S)
        admin.close()
        await controller.close()
        await heartbeats.close()
        if provisioner is not None:
            await provisioner.close()


def _provisioner(settings: Settings) -> Provisioner | None:
    """What makes our replicas; None when they are not ours to make."""
    if nodes := settings.provisioners:
        token = settings.provisioner_token
        return Provisioners({name: ProvisionerClient(at, token) for name, at in nodes.items()})
    if settings.provisioner_socket is not None:
        return ProvisionerClient(settings.provisioner_socket)
    return None


async def _begun(controller: Controller, stop: asyncio.Event) -> bool:
    """Whether the controller has begun before it was time to stop: it may have to wait for the
    provisioner for long."""
    beginning = asyncio.ensure_future(controller.begin())
    stopping = asyncio.ensure_future(stop.wait())
    done, _ = await asyncio.wait([beginning, stopping], return_when=asyncio.FIRST_COMPLETED)
    if beginning in done:
        stopping.cancel()
        await beginning  # raises what it raised
        return True
    beginning.cancel()
    await asyncio.wait([beginning])
    return False


def _spare_the_collector() -> None:
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


def main() -> None:
    settings = from_command_line()
    _raise_descriptor_limit()
    log.configure()
    with tempfile.TemporaryDirectory(prefix="load-balancer-") as folder:
        try:
            uvloop.run(serve(settings, Path(folder) / "admin.sock"))
        except (OSError, LoadBalancerError) as error:
            sys.exit(f"load_balancer: {error}")


if __name__ == "__main__":
    main()
