"""Every error of the load balancer, with the HTTP status that it answers.

`ClientError` is the caller's fault, `ServerError` ours or a part's behind us. Others' exceptions
become these in three places: `ring_errors` here, `provisioner_client`, and `admin`.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import ring

# errno of what we are short of ourselves, descriptors or memory: says nothing about a peer.
OWN_SHORTAGE = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}
)


class LoadBalancerError(Exception):
    """Base of all; `str(error)` is a sentence that names the value and what is accepted."""

    http_status = 500


class ClientError(LoadBalancerError):
    http_status = 400


class BadRequest(ClientError):
    """A value is missing, malformed or out of range."""


class UnknownReplica(ClientError):
    http_status = 404


class Conflict(ClientError):
    """The request is well-formed, and the state of the lab does not allow it."""

    http_status = 409


class ServerError(LoadBalancerError):
    http_status = 503


class ProvisionerRefused(ServerError):
    """The provisioner answered, and could not do it."""

    http_status = 502


class ProvisionerUnavailable(ServerError):
    """The provisioner does not answer."""


class ReplicaNotAnswering(ServerError):
    """A replica was started and gave no heartbeat in time."""


class BadMessage(LoadBalancerError):
    """What a peer on the followers' socket sent is not what it may send; its connection ends."""


class InvalidState(LoadBalancerError):
    """The state file does not hold a state; the message says where it is broken."""


@contextmanager
def ring_errors() -> Iterator[None]:
    """Turns the ring's refusals into answers: what it cannot do now is 409, a bad configuration
    400."""
    try:
        yield
    except (ring.RingFull, ring.NodeExists, ring.CannotRemove) as error:
        raise Conflict(str(error)) from error
    except ring.NodeUnknown as error:
        raise UnknownReplica(str(error)) from error
    except ring.RingError as error:
        raise BadRequest(str(error)) from error
