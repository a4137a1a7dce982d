"""Serving on a Unix socket that only the right processes can use.

Who may call is decided twice. The kernel lets only root, the socket's owner and its group connect
(mode 0660, set while the socket is made). Each accepted connection is then checked against the
peer's credentials, which the kernel recorded at its connect() and nobody can forge, so that a
chmod by accident opens nothing. Source: unix(7), SO_PEERCRED and SO_PEERGROUPS.
"""

import errno
import logging
import os
import socket
import struct
from pathlib import Path
from typing import Any

from waitress.server import UnixWSGIServer

from provisioner.errors import SocketInUse

logger = logging.getLogger(__name__)

SOCKET_MODE = 0o660
# Beyond it connect() to a Unix socket fails at once (EAGAIN) instead of waiting as on TCP.
BACKLOG = 1024
# Absent from Python's socket module; asm-generic/socket.h. The kernel fills in the peer's
# supplementary groups, and getsockopt() of Python takes 1024 bytes: 256 groups.
SO_PEERGROUPS = 59
MAX_GROUPS_BYTES = 1024


def bind_unix_socket(path: Path) -> socket.socket:
    """A listening socket at path, in the group of the directory if that is set-group-id.

    What a dead process left at path is replaced. SocketInUse if somebody answers there;
    OSError if path cannot be bound.
    """
    if path.is_socket():
        if _is_answered(path):
            raise SocketInUse(f"another process serves on {path}")
        path.unlink()
    listener = socket.socket(socket.AF_UNIX)
    umask = os.umask(0o777 & ~SOCKET_MODE)
    try:
        listener.bind(str(path))
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(umask)
    listener.listen(BACKLOG)
    return listener


def _is_answered(path: Path) -> bool:
    """Whether somebody listens at path; without waiting, even for one whose backlog is full."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        return probe.connect_ex(str(path)) != errno.ECONNREFUSED


class PeerCheckedServer(UnixWSGIServer):  # type: ignore[misc]  # waitress has no types
    """Waitress on a bound Unix socket, for peers that `is_trusted` accepts."""

    def __init__(self, application: Any, listener: socket.socket, **adjustments: Any) -> None:
        self._gid = os.stat(listener.getsockname()).st_gid
        super().__init__(
            application, _sock=listener, bind_socket=False, backlog=BACKLOG, **adjustments
        )

    def accept(self) -> tuple[socket.socket, Any] | None:
        """The next connection; None, as waitress has it, if there is none to serve."""
        accepted: tuple[socket.socket, Any] | None = super().accept()
        if accepted is None or is_trusted(accepted[0], self._gid):
            return accepted
        logger.warning("refused a peer that is neither root, nor this user, nor in the group")
        accepted[0].close()
        return None


def is_trusted(connection: socket.socket, gid: int) -> bool:
    """Whether the peer is root, runs as our own user, or is a member of group gid."""
    credentials = struct.Struct("3i")  # struct ucred: pid, uid, gid
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, credentials.size)
    _, peer_uid, peer_gid = credentials.unpack(raw)
    if peer_uid in (0, os.geteuid()) or peer_gid == gid:
        return True
    try:
        groups = connection.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, MAX_GROUPS_BYTES)
    except OSError:  # ERANGE: more groups than fit
        return False
    return gid in struct.unpack(f"{len(groups) // 4}I", groups)
