"""Consistent hashing: keys to nodes, so that few keys move when nodes come and go.

>>> servers = SlotRing(PRESETS["seed-deployed"])
>>> slots = servers.add("Server1", 1), servers.add("Server2", 2)
>>> servers.lookup(key_of("132574"))
'Server1'

Pure: no I/O, no clock, no randomness. Nothing here locks: a ring has one owner, and others get
copies (`owners`, `snapshot`).
"""

from ring.errors import (
    EmptyRing,
    InvalidConfig,
    InvalidSnapshot,
    NodeExists,
    NodeUnknown,
    RingError,
    RingFull,
)
from ring.hashes import KEY_HASHES, VIRTUAL_NODE_HASHES, key_of
from ring.placement import Placement
from ring.presets import PRESETS, PROBINGS, RingConfig
from ring.slots import Explanation, SlotRing

__all__ = [
    "KEY_HASHES",
    "PRESETS",
    "PROBINGS",
    "VIRTUAL_NODE_HASHES",
    "EmptyRing",
    "Explanation",
    "InvalidConfig",
    "InvalidSnapshot",
    "NodeExists",
    "NodeUnknown",
    "Placement",
    "RingConfig",
    "RingError",
    "RingFull",
    "SlotRing",
    "key_of",
]
