"""Everything that can go wrong in the provisioner, and the HTTP status each is answered with.

    ProvisionerError
    ├── CallerError             the request is at fault
    │   ├── InvalidRequest      400  a hostname or a body that is not accepted
    │   ├── ReplicaUnknown      404
    │   └── WrongState          409  the verb does not fit the replica's state
    ├── RuntimeFault            the machinery below is at fault
    │   ├── RuntimeRefused      502  it answered, and would not do it
    │   └── RuntimeUnreachable  503  it did not answer
    └── SocketInUse             none: the provisioner ends before it serves

A dependency's exceptions become these in one place: the runtime that uses the dependency.
"""

from typing import ClassVar


class ProvisionerError(Exception):
    """Base of all; its text is the answer's message."""

    http_status: ClassVar[int] = 500


class CallerError(ProvisionerError):
    """The request is at fault; nothing was changed."""


class InvalidRequest(CallerError):
    """A hostname, query or body outside what is accepted."""

    http_status = 400


class ReplicaUnknown(CallerError):
    """This lab has no replica of that name."""

    http_status = 404

    def __init__(self, hostname: str) -> None:
        super().__init__(f"there is no replica named {hostname!r}")


class WrongState(CallerError):
    """The replica is in a state in which the verb means nothing."""

    http_status = 409

    def __init__(self, hostname: str, *, state: str, wanted: str) -> None:
        super().__init__(f"replica {hostname!r} is {state}, not {wanted}")


class RuntimeFault(ProvisionerError):
    """The engine or the operating system is at fault."""


class RuntimeRefused(RuntimeFault):
    """The runtime answered that it will not or cannot do it."""

    http_status = 502


class RuntimeUnreachable(RuntimeFault):
    """The runtime did not answer."""

    http_status = 503


class SocketInUse(ProvisionerError):
    """Another process answers on the socket that was to be served."""
