"""The commands of the admin API, and the healing of what dies without one.

Commands that change the membership run one at a time; healing runs beside them, a task for each
dead replica, so that a slow `/add` never delays it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Coroutine, Iterable, Sequence
from contextlib import suppress
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from load_balancer.errors import (
    BadRequest,
    Conflict,
    InvalidState,
    LoadBalancerError,
    ReplicaNotAnswering,
)
from load_balancer.events import EventLog
from load_balancer.health import State
from load_balancer.membership import Member, Membership, check_hostname
from load_balancer.provisioner_client import Provisioned, Provisioner
from load_balancer.routing import Replica, RoutingTable
from load_balancer.settings import Settings
from load_balancer.state_file import SavedState, StateFile
from ring import Placement

logger = logging.getLogger(__name__)

# Healing tries again after 0.5, 1, 2 … 30 s; a replica that stays well for a minute starts over.
BACKOFF_FIRST_S = 0.5
BACKOFF_LAST_S = 30.0
REMOVAL_S = 5.0  # that a failed /add waits for what it has made to be gone
QUICK_DEATHS = 5  # replaced without delay within WELL_AFTER_S; a class crashes on purpose
WELL_AFTER_S = 60.0


class DataPlane(Protocol):
    """What the control plane asks of the data plane, or of all that there are."""

    async def drain(self, replica: Replica, timeout_s: float) -> None:
        """Returns when no request is in flight to `replica`, or cuts them after `timeout_s`."""

    def cut(self, replica: Replica) -> None:
        """Closes all connections to `replica` now; what is in flight fails over."""

    async def settled(self) -> None:
        """Returns when the present table is served by, or has been waited for long enough."""


class Controller:
    """`provisioner` is None when the replicas are not ours to manage."""

    def __init__(
        self,
        membership: Membership,
        data_plane: DataPlane,
        provisioner: Provisioner | None,
        settings: Settings,
        events: EventLog,
    ) -> None:
        self._membership = membership
        self._data_plane = data_plane
        self._provisioner = provisioner
        self._settings = settings
        self._events = events
        self._state_file = StateFile(settings.state_file) if settings.state_file else None
        self._command = asyncio.Lock()
        self._leaving: dict[str, asyncio.Task[None]] = {}
        self._ending: dict[Member, asyncio.Task[None]] = {}  # their last requests
        self._healing: dict[Member, asyncio.Task[None]] = {}
        self._deaths: WeakKeyDictionary[Member, list[float]] = WeakKeyDictionary()
        self._saving = asyncio.Lock()
        self._haste = asyncio.Event()  # set while a command waits for the healed

    # Starting and stopping

    async def begin(self) -> None:
        """Adopts the replicas that run and answer a heartbeat in time, replaces those that do not,
        removes those that no saved state knows; does not wait for replacements."""
        if self._provisioner is None:
            self._membership.join(self._membership.reserve(list(self._settings.unmanaged_replicas)))
            for hostname, address in self._settings.unmanaged_replicas.items():
                self._membership.start(self._membership.member(hostname), address)
        else:
            await self._adopt(self._provisioner, self._load())
        members = self._membership.members.values()
        waiting = {asyncio.ensure_future(m.answers.wait()): m for m in members if m.replica}
        if waiting:
            _, late = await asyncio.wait(waiting, timeout=self._settings.heartbeat_timeout_s)
            for task in late:
                task.cancel()
                if self._provisioner is not None:  # it ended or froze after it was listed
                    waiting[task].replica = None
                    self._begin_healing(self._provisioner, waiting[task])

    async def close(self) -> None:
        """Stops healing and draining where they are; the next start finishes them."""
        unfinished = [*self._healing.values(), *self._leaving.values()]
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)

    # Commands

    async def add(self, n: int, hostnames: Sequence[str]) -> None:
        """Adds `n` replicas, all or none: those of `hostnames`, and random names for the rest.
        Returns when they have answered a heartbeat and serve."""
        provisioner = self._managed("add replicas")
        async with self._command:
            await self._add(provisioner, self.names_to_add(n, hostnames))
        await self._data_plane.settled()

    def names_to_add(self, n: int, hostnames: Sequence[str]) -> list[str]:
        """Whom `add` would add now. BadRequest, Conflict."""
        self._managed("add replicas")
        if len(hostnames) > n:
            raise BadRequest("Length of hostname list is more than newly added instances")
        room = self._settings.max_replicas - len(self._membership.members)
        if n > room:
            raise Conflict(
                f"n must be at most {room}, for {self._settings.max_replicas} replicas in all,"
                f" got {n}"
            )
        self._membership.check_new(hostnames)
        return [*hostnames, *self._random_names(n - len(hostnames))]

    async def remove(self, n: int, hostnames: Sequence[str]) -> None:
        """Removes `n` replicas: those of `hostnames`, and random others. Each leaves the table at
        once, ends its requests, and stops; returns when it has."""
        provisioner = self._managed("remove replicas")
        async with self._command:
            leaving = await self._leave(provisioner, self.names_to_remove(n, hostnames))
        await asyncio.gather(*leaving, self._data_plane.settled())

    def names_to_remove(self, n: int, hostnames: Sequence[str]) -> list[str]:
        """Whom `remove` would remove now. BadRequest, UnknownReplica."""
        self._managed("remove replicas")
        if len(hostnames) > n:
            raise BadRequest("Length of hostname list is more than removable instances")
        present = self._membership.joined
        if n > len(present):
            raise BadRequest(f"n must be at most {len(present)}, the number of replicas, got {n}")
        self._check_named(hostnames)
        others = [hostname for hostname in present if hostname not in hostnames]
        return [*hostnames, *self._any_of(others, n - len(hostnames))]

    async def put(self, hostnames: Sequence[str]) -> None:
        """Makes the replicas exactly `hostnames`, listed so; returns when they all serve."""
        provisioner = self._managed("set the replicas")
        async with self._command:
            missing, surplus = self.names_to_put(hostnames)
            self._membership.ring_with(also=missing, without=surplus)  # or nothing is done at all
            await self._add(provisioner, missing)
            leaving = await self._leave(provisioner, surplus)
            self._haste.set()
            try:
                await self._answering([self._membership.member(name) for name in hostnames])
            finally:
                self._haste.clear()
            self._membership.reorder(hostnames)
            await self._save()
        await asyncio.gather(*leaving, self._data_plane.settled())

    def names_to_put(self, hostnames: Sequence[str]) -> tuple[list[str], list[str]]:
        """Whom `put` would add and whom it would remove now. BadRequest, Conflict."""
        self._managed("set the replicas")
        for hostname in hostnames:
            check_hostname(hostname)
            if hostnames.count(hostname) > 1:
                raise BadRequest(f"hostname {hostname!r} is given twice")
        if len(hostnames) > self._settings.max_replicas:
            raise Conflict(
                f"hostnames must be at most {self._settings.max_replicas}, got {len(hostnames)}"
            )
        present = self._membership.joined
        missing = [hostname for hostname in hostnames if hostname not in present]
        surplus = [hostname for hostname in present if hostname not in hostnames]
        self._membership.check_new(missing)
        return missing, surplus

    async def configure(self, empty: Placement) -> None:
        """Switches to a ring like `empty`; requests in flight end where they are, new ones follow
        the new one."""
        async with self._command:
            while True:  # beside the loop, for a large ring takes long; the members may change
                ring = await asyncio.to_thread(self._membership.ring_like, empty)
                if self._membership.is_ring_of_all(ring):
                    break
            self._membership.take_over(ring)
            await self._save()
        await self._data_plane.settled()

    async def crash(self, hostname: str) -> None:
        """SIGKILL, behind our own back: nothing here takes note of it."""
        await self._fault("crash", hostname)

    async def pause(self, hostname: str) -> None:
        """Freezes it. Conflict while it is starting: nobody could tell it from one that is slow."""
        self._managed("pause a replica")
        member = self._membership.member(hostname)
        if member.replica is None or member.health.state is State.STARTING:
            raise Conflict(f"{hostname!r} is starting; it can be paused when it has answered")
        await self._fault("pause", hostname)

    async def resume(self, hostname: str) -> None:
        await self._fault("resume", hostname)

    # Observer: a death starts the healing

    def replica_died(self, member: Member, replica: Replica) -> None:
        self._data_plane.cut(replica)
        if self._provisioner is None:
            return
        member.replica = None  # this life is over, even if it should answer once more
        if member in self._membership.leaving:
            if (ending := self._ending.get(member)) is not None:
                ending.cancel()  # its last requests have gone on to others
        else:
            self._stop_healing(member)  # which had just succeeded
            self._begin_healing(self._provisioner, member)

    def replica_started(self, member: Member, replica: Replica) -> None: ...

    def replica_suspected(self, replica: Replica) -> None: ...

    def table_published(self, table: RoutingTable) -> None: ...

    # Within: commands

    def _managed(self, what: str) -> Provisioner:
        if self._provisioner is None:
            raise Conflict(
                f"cannot {what}: this load balancer was started with --replica, in front of servers"
                " that it does not manage; start it with --provisioner-socket to manage replicas"
            )
        return self._provisioner

    def _check_named(self, hostnames: Sequence[str]) -> None:
        for hostname in hostnames:
            check_hostname(hostname)
            if hostnames.count(hostname) > 1:
                raise BadRequest(f"hostname {hostname!r} is given twice")
            self._membership.member(hostname)

    def _random_names(self, count: int) -> list[str]:
        names: set[str] = set()
        while len(names) < count:
            name = f"S{secrets.token_hex(3)}"
            if name not in self._membership.members:
                names.add(name)
        return sorted(names)

    def _any_of(self, hostnames: Sequence[str], count: int) -> list[str]:
        """`count` of them at random; the last ones if the ring can remove no others."""
        ring = self._membership.ring
        if ring.can_remove_any:
            return secrets.SystemRandom().sample(hostnames, count)
        return sorted(hostnames, key=ring.nodes.index)[len(hostnames) - count :]

    async def _add(self, provisioner: Provisioner, hostnames: Sequence[str]) -> None:
        members = self._membership.reserve(hostnames)
        try:
            await _all(self._start(provisioner, member) for member in members)
            await self._answering(members)
        except BaseException:
            present = [member.hostname for member in members]  # healing may have renamed one
            for member in self._membership.remove(present):
                self._stop_healing(member)
            made = {*hostnames, *present} - self._leaving.keys()
            going = [self._let_go(name, self._remove(provisioner, name)) for name in made]
            if going:
                await asyncio.wait(going, timeout=REMOVAL_S)
            raise
        self._membership.join(members)
        await self._save()

    async def _start(self, provisioner: Provisioner, member: Member) -> None:
        if (leaving := self._leaving.get(member.hostname)) is not None:
            await asyncio.wait([leaving])
        address = await provisioner.create_or_replace(member.hostname, member.server_id)
        self._membership.start(member, address)

    async def _answering(self, members: Sequence[Member]) -> None:
        """Returns when all have answered a heartbeat; ReplicaNotAnswering names the others."""
        timeout_s = self._settings.start_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                for member in members:
                    await member.answers.wait()
        except TimeoutError:
            silent = ", ".join(m.hostname for m in members if not m.answers.is_set())
            raise ReplicaNotAnswering(f"no heartbeat within {timeout_s} s from {silent}") from None

    async def _leave(
        self, provisioner: Provisioner, hostnames: Sequence[str]
    ) -> list[asyncio.Task[None]]:
        """Takes `hostnames` out of the table now; their drains, which then go on by themselves."""
        members = self._membership.remove(hostnames)
        self._membership.leaving.update(members)
        for member in members:
            self._stop_healing(member)
        drains = [
            self._let_go(member.hostname, self._drain(provisioner, member)) for member in members
        ]
        await self._save()
        return drains

    def _let_go(self, hostname: str, going: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Who is made under that name meanwhile waits for it."""
        task = asyncio.ensure_future(going)
        self._leaving[hostname] = task
        task.add_done_callback(lambda _: self._leaving.pop(hostname))
        return task

    async def _drain(self, provisioner: Provisioner, member: Member) -> None:
        try:
            if member.replica is not None:
                self._events.record("draining", hostname=member.hostname)
                await self._end_requests(member, member.replica)
        finally:
            self._membership.leaving.discard(member)
        await self._remove(provisioner, member.hostname)
        self._events.record("drained", hostname=member.hostname)

    async def _remove(self, provisioner: Provisioner, hostname: str) -> None:
        """However long it takes: nobody but us knows any longer that it is there."""
        backoff_s = BACKOFF_FIRST_S
        while True:
            try:
                await provisioner.remove(hostname)
                return
            except LoadBalancerError as error:
                logger.warning("removing %s: %s; again in %s s", hostname, error, backoff_s)
                await asyncio.sleep(backoff_s)
                backoff_s = min(2 * backoff_s, BACKOFF_LAST_S)

    async def _end_requests(self, member: Member, replica: Replica) -> None:
        """Returns when `replica` has answered all, or is found dead: for that it is watched on."""
        drained = self._data_plane.drain(replica, self._settings.drain_timeout_s)
        self._ending[member] = ending = asyncio.ensure_future(drained)
        try:
            await asyncio.wait([ending])
        finally:
            del self._ending[member]
            ending.cancel()
        if not ending.cancelled():
            ending.result()  # raises what it raised

    async def _fault(self, verb: str, hostname: str) -> None:
        provisioner = self._managed(f"{verb} a replica")
        self._membership.member(hostname)
        call = {"crash": provisioner.kill, "pause": provisioner.pause, "resume": provisioner.resume}
        await call[verb](hostname)

    # Within: healing

    async def _heal(self, provisioner: Provisioner, member: Member) -> None:
        """Puts a fresh replica in the dead one's place, however long it takes."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._delay_before_healing(member)):
                await self._haste.wait()
        dead = member.hostname
        if self._settings.replacement_name == "random":
            try:
                self._membership.rename(member, *self._random_names(1))
            except Conflict as error:  # the ring is a table, and knows no other names
                logger.info("%s keeps its name: %s", dead, error)
            await self._save()
        backoff_s = BACKOFF_FIRST_S
        while True:
            try:
                await self._start(provisioner, member)
                await self._answering([member])
                break
            except LoadBalancerError as error:
                logger.warning("replacing %s: %s; again in %s s", dead, error, backoff_s)
                await asyncio.sleep(backoff_s)
                backoff_s = min(2 * backoff_s, BACKOFF_LAST_S)
        if member.hostname != dead:
            try:
                await provisioner.remove(dead)
            except LoadBalancerError as error:
                logger.warning("removing what is left of %s: %s", dead, error)
        self._healing.pop(member, None)
        self._events.record("replaced", hostname=dead, by=member.hostname)

    def _begin_healing(self, provisioner: Provisioner, member: Member) -> None:
        self._healing[member] = asyncio.ensure_future(self._heal(provisioner, member))

    def _stop_healing(self, member: Member) -> None:
        if (healing := self._healing.pop(member, None)) is not None:
            healing.cancel()

    def _delay_before_healing(self, member: Member) -> float:
        """0 s for the first deaths of a member within a minute, then 0.5, 1, 2 … 30 s."""
        now = asyncio.get_running_loop().time()
        recent = [at for at in self._deaths.get(member, []) if now - at < WELL_AFTER_S]
        self._deaths[member] = [*recent, now]
        if len(recent) < QUICK_DEATHS:
            return 0.0
        return min(BACKOFF_FIRST_S * 2.0 ** (len(recent) - QUICK_DEATHS), BACKOFF_LAST_S)

    # Within: state

    def _load(self) -> SavedState | None:
        if self._state_file is None:
            return None
        try:
            return self._state_file.load()
        except InvalidState as error:
            logger.error("%s; going on with the replicas that run", error)
            return None

    async def _adopt(self, provisioner: Provisioner, saved: SavedState | None) -> None:
        running = {each.hostname: each for each in await _patiently(provisioner)}
        if saved is not None:
            self._membership.restore(saved.ring, saved.replicas)
            configured = self._settings.ring()
            if saved.configured.to_dict() != configured.to_dict():
                try:
                    self._membership.configure(configured)
                except Conflict as error:
                    logger.error("the settings' ring does not fit, keeping the old: %s", error)
        else:
            known = sorted(running.values(), key=lambda each: each.server_id)
            self._membership.join(self._membership.reserve([each.hostname for each in known]))
        for hostname in running.keys() - self._membership.members.keys():
            logger.info("removing %s, which no command has made", hostname)
            await provisioner.remove(hostname)
        for member in self._membership.members.values():
            found = running.get(member.hostname)
            if found is not None and found.state == "running" and found.address is not None:
                self._membership.start(member, found.address)
            else:
                self._begin_healing(provisioner, member)
        await self._save()

    async def _save(self) -> None:
        """One at a time, for healing saves beside commands. What has been done is done, also if it
        cannot be saved."""
        if self._state_file is None:
            return
        async with self._saving:
            membership = self._membership
            ring = membership.joined_ring()
            state = SavedState(ring, membership.joined, self._settings.ring())
            try:
                await asyncio.to_thread(self._state_file.save, state)
            except OSError as error:
                logger.error("a restart will not find the present state: %s", error)


async def _all(coroutines: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Waits for all, then raises the first error, so that nothing is left half-way behind it."""
    for result in await asyncio.gather(*coroutines, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


async def _patiently(provisioner: Provisioner) -> list[Provisioned]:
    """What the provisioner lists, as soon as it answers: both may have just been started."""
    backoff_s = 0.1
    while True:
        try:
            return await provisioner.list()
        except LoadBalancerError as error:
            logger.info("waiting: %s", error)
            await asyncio.sleep(backoff_s)
            backoff_s = min(2 * backoff_s, 2.0)
