"""Runs the load balancer: a data plane and the control plane on one event loop, the admin API's
Flask application in threads beside it, behind a Unix socket, and the data planes that follow; or,
with `--follow`, one of those."""

from __future__ import annotations

import asyncio
import logging
import signal
import tempfile
from pathlib import Path

from load_balancer import follow
from load_balancer.admin import AdminServer, Context, create_app
from load_balancer.controller import Controller
from load_balancer.data_planes import DataPlanes
from load_balancer.events import EventLog
from load_balancer.followers import Followers
from load_balancer.health import Evidence, Thresholds
from load_balancer.heartbeats import Heartbeats
from load_balancer.live import LiveFeed
from load_balancer.membership import Membership
from load_balancer.metrics import Metrics
from load_balancer.process import run, spare_the_collector, told_to_stop
from load_balancer.provisioner_client import Provisioner, ProvisionerClient
from load_balancer.provisioners import Provisioners
from load_balancer.proxy.server import GRACE_S, Server
from load_balancer.routing import Replica
from load_balancer.settings import Settings, from_command_line, parse_place
from load_balancer.workers import Workers

logger = logging.getLogger("load_balancer")


async def serve(settings: Settings, folder: Path) -> None:
    """Serves until SIGTERM or SIGINT; then answers what is in flight, and returns. `folder`: for
    our sockets."""
    stop = told_to_stop(signal.SIGTERM, signal.SIGINT)
    if settings.workers > 1:
        settings = settings.model_copy(update={"reuse_port": True})
    admin_socket = folder / "admin.sock"
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
    followers = Followers(
        *(membership, settings, admin_socket, server.sampler, on_evidence, events.record)
    )
    planes = DataPlanes(server, followers)
    workers = Workers(settings, folder / "followers.sock", events.record)
    provisioner = _provisioner(settings)
    controller = Controller(membership, planes, provisioner, settings, events)
    membership.observers += [server, followers, heartbeats, controller]
    context = Context(
        settings,
        membership,
        controller,
        server,
        events,
        Metrics(planes, membership, events),
        LiveFeed(planes, membership),
        server.loop,
    )
    admin = AdminServer(create_app(context), admin_socket)
    try:
        if await _begun(controller, stop):
            spare_the_collector()
            await server.listen()
            await _be_followed(followers, workers, settings)
            logger.info("serving on http://%s", settings.bind)
            await stop.wait()
    finally:
        logger.info("stopping")
        events.close()
        await asyncio.gather(server.close(GRACE_S), workers.close())
        admin.close()
        await followers.close()
        await controller.close()
        await heartbeats.close()
        if provisioner is not None:
            await provisioner.close()


def _provisioner(settings: Settings) -> Provisioner | None:
    """What makes our replicas; None when they are not ours to make."""
    if nodes := settings.provisioners:
        token = settings.provisioner_token
        clients = {name: ProvisionerClient(at, token) for name, at in nodes.items()}
        return Provisioners(clients, settings.drained)
    if settings.provisioner_socket is not None:
        return ProvisionerClient(settings.provisioner_socket)
    return None


async def _be_followed(followers: Followers, workers: Workers, settings: Settings) -> None:
    """Only now, when the table is worth following."""
    if settings.followers:
        await followers.listen(parse_place(settings.followers), settings.followers_token)
    if settings.workers > 1:
        await followers.listen(workers.followed)
        workers.start()


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


async def follow_until_told(settings: Settings) -> None:
    stop = told_to_stop(signal.SIGTERM, signal.SIGINT)
    await follow.serve(settings, parse_place(settings.follow), settings.bind, stop)


def main() -> None:
    settings = from_command_line()
    if settings.follow:
        run(follow_until_told(settings))
        return
    with tempfile.TemporaryDirectory(prefix="load-balancer-") as folder:
        run(serve(settings, Path(folder)))


if __name__ == "__main__":
    main()
