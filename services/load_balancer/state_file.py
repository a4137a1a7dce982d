"""The state that survives a restart: the ring, which is its configuration and the replicas with
their ids and slots; and the configuration that the settings asked for, so that a ring changed live
stays changed until somebody changes the settings.

Written to a temporary file that is flushed, then renamed over the old one, so that a crash at any
moment leaves either the old state or the new one.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from load_balancer.errors import InvalidState
from ring import AnyConfig, Ring, RingError, config_from, restore_ring

FORMAT = 1


@dataclass(frozen=True)
class SavedState:
    ring: Ring
    configured: AnyConfig


def to_json(state: SavedState) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "configured": asdict(state.configured),
        "ring": asdict(state.ring.config),
        "replicas": {
            hostname: {"server_id": server_id, "slots": slots}
            for hostname, (server_id, slots) in state.ring.snapshot().items()
        },
    }


def from_json(data: Any) -> SavedState:
    """InvalidState if `data` is not a state of this format, or its slots are impossible."""
    try:
        if data["format"] != FORMAT:
            raise InvalidState(f"format must be {FORMAT}, got {data['format']!r}")
        snapshot = {
            hostname: (replica["server_id"], tuple(replica["slots"]))
            for hostname, replica in data["replicas"].items()
        }
        ring = restore_ring(config_from(data["ring"]), snapshot)
        return SavedState(ring, config_from(data["configured"]))
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
