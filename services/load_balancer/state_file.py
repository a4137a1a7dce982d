"""The state that survives a restart: the ring with its replicas, their ids and its history; their
order; and the ring that the settings asked for, so that one changed live stays changed until
somebody changes the settings.

Written to a temporary file that is flushed, then renamed over the old one, so that a crash at any
moment leaves either the old state or the new one.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from load_balancer.errors import InvalidState
from ring import Placement, RingError, from_dict

FORMAT = 2


@dataclass(frozen=True)
class SavedState:
    """replicas: the nodes of `ring`, as they are listed. configured: without nodes."""

    ring: Placement
    replicas: list[str]
    configured: Placement


def to_json(state: SavedState) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "configured": state.configured.to_dict(),
        "ring": state.ring.to_dict(),
        "replicas": state.replicas,
    }


def from_json(data: Any) -> SavedState:
    """InvalidState if `data` is not a state of this format, or its ring is impossible."""
    try:
        if data["format"] != FORMAT:
            raise InvalidState(f"format must be {FORMAT}, got {data['format']!r}")
        ring, replicas = from_dict(data["ring"]), list(data["replicas"])
        if sorted(ring.nodes) != sorted(replicas):
            raise InvalidState(f"replicas must be {', '.join(ring.nodes)}, got {replicas}")
        return SavedState(ring, replicas, from_dict(data["configured"]))
    except (KeyError, TypeError, AttributeError, RingError) as error:
        raise InvalidState(f"not a state: {error!r}") from error


class StateFile:
    """One JSON document at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> SavedState | None:
        """The saved state, None if there is none yet. InvalidState names file and fault; the
        broken file is then kept beside, with the suffix `.broken`, for people to look at."""
        try:
            return from_json(json.loads(self.path.read_text()))
        except FileNotFoundError:
            return None
        except (ValueError, InvalidState) as error:
            broken = self.path.with_suffix(".broken")
            self.path.rename(broken)
            raise InvalidState(f"{self.path}: {error}; kept as {broken}") from error

    def save(self, state: SavedState) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(".new")
        with temporary.open("w") as file:
            json.dump(to_json(state), file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the rename itself is durable only once the folder is
        finally:
            os.close(folder)
