"""What every runtime can do, and the words it speaks in."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, NewType, Protocol

from provisioner.errors import InvalidRequest

Hostname = NewType("Hostname", str)
"""A name that passed `parse_hostname`: safe in file names, labels and container names."""

# A label of RFC 1123, section 2.1: letters, digits and inner hyphens, at most 63.
_HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")


def parse_hostname(text: str) -> Hostname:
    """The text as a Hostname. InvalidRequest if it is no RFC 1123 label."""
    if not _HOSTNAME.fullmatch(text):
        raise InvalidRequest(
            f"hostname must be 1 to 63 letters, digits or inner hyphens, got {text[:80]!r}"
        )
    return Hostname(text)


class State(StrEnum):
    """What a replica does at this moment."""

    RUNNING = "running"
    PAUSED = "paused"
    EXITED = "exited"


@dataclass(frozen=True, slots=True)
class Replica:
    """One replica as it was when asked for."""

    hostname: str
    server_id: int
    address: str | None
    """host:port as the load balancer reaches it; None when exited."""
    state: State


class Runtime(Protocol):
    """Six verbs over the replicas of one lab, and a check.

    Every method may raise RuntimeRefused and RuntimeUnreachable. No method touches anything that
    is not a replica of this lab. Calls for different hostnames may run at once; the caller sees to
    it that calls for one hostname do not.
    """

    name: ClassVar[str]

    def check(self) -> None:
        """Return if the runtime answers; RuntimeUnreachable if not."""

    def list(self) -> Sequence[Replica]:
        """All replicas of this lab, exited ones included, in no particular order."""

    def create_or_replace(self, hostname: Hostname, server_id: int) -> Replica:
        """A fresh running replica of that name, its address known; does not wait for its HTTP.

        What bears the name already is killed and removed first, whatever its state.
        """

    def remove(self, hostname: Hostname, *, grace_s: int) -> None:
        """SIGTERM, SIGKILL after grace_s seconds, and remove; nothing if there is none.

        A paused replica cannot act on SIGTERM: it is killed at once.
        """

    def kill(self, hostname: Hostname) -> None:
        """SIGKILL a running or paused replica; it stays listed as exited.

        ReplicaUnknown; WrongState if it has exited.
        """

    def pause(self, hostname: Hostname) -> None:
        """Freeze a running replica. ReplicaUnknown; WrongState if it is not running."""

    def resume(self, hostname: Hostname) -> None:
        """Thaw a paused replica. ReplicaUnknown; WrongState if it is not paused."""
