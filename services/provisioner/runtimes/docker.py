"""Replicas as containers on the lab's internal network, made by the Docker engine.

Whoever can talk to the engine is root on its machine. So this module asks it for very little: each
look-up filters by the labels of this lab's replicas and checks them again, each change goes to an
id that came out of such a look-up, and image, network and limits come from the settings alone.
A container is never looked up by its name: names can be borne by strangers.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, ClassVar

import docker
import docker.constants
import docker.errors
import docker.types
import requests

from provisioner.errors import ReplicaUnknown, RuntimeRefused, RuntimeUnreachable, WrongState
from provisioner.runtimes.base import Hostname, Replica, State

LAB_LABEL = "ringlab.lab"
ROLE_LABEL = "ringlab.role"
HOSTNAME_LABEL = "ringlab.hostname"
SERVER_ID_LABEL = "ringlab.server_id"
REPLICA_ROLE = "replica"

# Where a replica listens unless it is told otherwise.
REPLICA_PORT = 5000
# An engine under a burst of creations takes seconds for one of them; after this it hangs.
ENGINE_TIMEOUT_S = 60
CHECK_TIMEOUT_S = 2
# On cgroup v1 runc gives up, and thaws again, when a process waits for a disk for half a second.
NUM_FREEZE_ATTEMPTS = 5
# waitress spools to /tmp what it cannot hold in memory; nothing else writes.
TMPFS = {"/tmp": "rw,noexec,nosuid,nodev,size=16m,mode=1777"}
# A replica writes a few lines in its life; this bounds one that has gone mad.
LOG_OPTIONS = {"max-size": "1m", "max-file": "1"}

# The engine's other words (created, dead, removing) all mean: it serves no more.
STATES = {"running": State.RUNNING, "paused": State.PAUSED}


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """What every replica's container is made of; nothing of it comes from a request."""

    lab: str
    image: str
    network: str
    memory: str
    """Limit with the engine's suffix, such as 128m; swap is not granted on top."""
    pids: int


@dataclass(frozen=True, slots=True)
class Container:
    """A replica and the id of its container."""

    id: str
    replica: Replica


@contextmanager
def _engine_errors() -> Iterator[None]:
    """The one place where the SDK's exceptions become ours."""
    try:
        yield
    except docker.errors.APIError as error:
        raise RuntimeRefused(f"the engine refused: {error.explanation or error}") from error
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise RuntimeUnreachable(f"the engine does not answer: {error}") from error


class DockerRuntime:
    """The replicas of one lab on the engine at engine_url."""

    name: ClassVar[str] = "docker"

    def __init__(self, engine_url: str, spec: ContainerSpec) -> None:
        self._engine_url = engine_url
        self._spec = spec
        self._labels = {LAB_LABEL: spec.lab, ROLE_LABEL: REPLICA_ROLE}
        self._local = threading.local()

    @property
    def _api(self) -> Any:
        """This thread's client: the SDK's session is not safe to share."""
        if not hasattr(self._local, "api"):
            self._local.api = docker.APIClient(self._engine_url, timeout=ENGINE_TIMEOUT_S)
        return self._local.api

    @_engine_errors()
    def check(self) -> None:
        # A client of its own, for the short timeout; /version is the same in all versions.
        version = docker.constants.MINIMUM_DOCKER_API_VERSION
        with docker.APIClient(self._engine_url, version, timeout=CHECK_TIMEOUT_S) as client:
            client.version(api_version=False)

    @_engine_errors()
    def list(self) -> Sequence[Replica]:
        return [container.replica for container in self._containers()]

    @_engine_errors()
    def create_or_replace(self, hostname: Hostname, server_id: int) -> Replica:
        for container in self._containers(hostname):
            self._force_remove(container.id)
        container_id = self._create(hostname, server_id)
        try:
            self._api.start(container_id)
            address = self._address(container_id)
        except Exception:
            self._force_remove(container_id)
            raise
        return Replica(hostname, server_id, address, State.RUNNING)

    @_engine_errors()
    def remove(self, hostname: Hostname, *, grace_s: int) -> None:
        for container in self._containers(hostname):
            if grace_s and container.replica.state is State.RUNNING:
                with suppress(docker.errors.NotFound):
                    self._api.stop(container.id, timeout=grace_s)
            self._force_remove(container.id)

    @_engine_errors()
    def kill(self, hostname: Hostname) -> None:
        container = self._find(hostname, State.RUNNING, State.PAUSED)
        self._api.kill(container.id, "SIGKILL")

    @_engine_errors()
    def pause(self, hostname: Hostname) -> None:
        container = self._find(hostname, State.RUNNING)
        for attempt in range(1, NUM_FREEZE_ATTEMPTS + 1):
            try:
                self._api.pause(container.id)
            except docker.errors.APIError as error:
                if attempt == NUM_FREEZE_ATTEMPTS or "unable to freeze" not in str(error):
                    raise
            else:
                return

    @_engine_errors()
    def resume(self, hostname: Hostname) -> None:
        self._api.unpause(self._find(hostname, State.PAUSED).id)

    # -- look-ups ---------------------------------------------------------------------------

    def _containers(self, hostname: Hostname | None = None) -> tuple[Container, ...]:
        """This lab's replicas, all or those of one hostname, in one call to the engine."""
        wanted = dict(self._labels)
        if hostname is not None:
            wanted[HOSTNAME_LABEL] = hostname
        filters = {"label": [f"{name}={value}" for name, value in wanted.items()]}
        return tuple(
            Container(entry["Id"], self._replica(entry))
            for entry in self._api.containers(all=True, filters=filters)
            # The engine has filtered already; what may be removed is worth a second look.
            if wanted.items() <= entry["Labels"].items() and _has_name_and_id(entry["Labels"])
        )

    def _find(self, hostname: Hostname, *wanted: State) -> Container:
        for container in self._containers(hostname):
            state = container.replica.state
            if state not in wanted:
                raise WrongState(hostname, state=state, wanted=wanted[0])
            return container
        raise ReplicaUnknown(hostname)

    def _replica(self, entry: dict[str, Any]) -> Replica:
        """From an entry of the engine's container list."""
        state = STATES.get(entry["State"], State.EXITED)
        endpoint = entry["NetworkSettings"]["Networks"].get(self._spec.network, {})
        ip = endpoint.get("IPAddress")
        return Replica(
            hostname=entry["Labels"][HOSTNAME_LABEL],
            server_id=int(entry["Labels"][SERVER_ID_LABEL]),
            address=f"{ip}:{REPLICA_PORT}" if ip and state is not State.EXITED else None,
            state=state,
        )

    # -- changes ----------------------------------------------------------------------------

    def _create(self, hostname: Hostname, server_id: int) -> str:
        """Id of a new container, not yet started. The engine never pulls on this call."""
        spec = self._spec
        host_config = self._api.create_host_config(
            network_mode=spec.network,
            read_only=True,
            tmpfs=TMPFS,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true"],
            mem_limit=spec.memory,
            memswap_limit=spec.memory,
            pids_limit=spec.pids,
            restart_policy={"Name": "no"},  # the load balancer heals
            log_config=docker.types.LogConfig(type="json-file", config=LOG_OPTIONS),
        )
        endpoint = self._api.create_endpoint_config(aliases=[hostname])
        container = self._api.create_container(
            image=spec.image,
            name=f"{spec.lab}-replica-{hostname}",
            hostname=hostname,
            detach=True,
            environment={"SERVER_ID": hostname},
            labels={
                **self._labels,
                HOSTNAME_LABEL: hostname,
                SERVER_ID_LABEL: str(server_id),
            },
            host_config=host_config,
            networking_config=self._api.create_networking_config({spec.network: endpoint}),
            use_config_proxy=False,  # else the SDK adds the caller's proxies to the environment
        )
        return str(container["Id"])

    def _address(self, container_id: str) -> str:
        inspected = self._api.inspect_container(container_id)
        ip = inspected["NetworkSettings"]["Networks"][self._spec.network]["IPAddress"]
        if not ip:
            code = inspected["State"]["ExitCode"]
            raise RuntimeRefused(f"a container of {self._spec.image} ended at once, code {code}")
        return f"{ip}:{REPLICA_PORT}"

    def _force_remove(self, container_id: str) -> None:
        """SIGKILL and remove, whatever the state."""
        with suppress(docker.errors.NotFound):  # gone meanwhile is as good
            self._api.remove_container(container_id, force=True, v=True)


def _has_name_and_id(labels: dict[str, str]) -> bool:
    """Whether a container bears the labels that `_create` gives each replica beside the lab's."""
    return HOSTNAME_LABEL in labels and labels.get(SERVER_ID_LABEL, "").isdecimal()
