"""Consistent hashing: keys to nodes, so that few keys move when nodes come and go.

>>> servers = SlotRing(PRESETS["seed-deployed"])
>>> slots = servers.add("Server1", 1), servers.add("Server2", 2)
>>> servers.lookup(key_of("132574"))
'Server1'

Pure: no I/O, no clock, no randomness. Nothing here locks: a ring has one owner, and others get
copies (`owners`, `snapshot`).
"""

from ring.algorithms import Ring, config_from, make_ring, restore_ring
from ring.circle import Explanation
from ring.config import PROBINGS, AnyConfig, RingConfig, TableConfig
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
from ring.presets import PRESETS
from ring.slots import SlotRing
from ring.table import TableRing

__all__ = [
    "KEY_HASHES",
    "PRESETS",
    "PROBINGS",
    "VIRTUAL_NODE_HASHES",
    "AnyConfig",
    "EmptyRing",
    "Explanation",
    "InvalidConfig",
    "InvalidSnapshot",
    "NodeExists",
    "NodeUnknown",
    "Placement",
    "Ring",
    "RingConfig",
    "RingError",
    "RingFull",
    "SlotRing",
    "TableConfig",
    "TableRing",
    "config_from",
    "key_of",
    "make_ring",
    "restore_ring",
]
