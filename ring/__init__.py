"""Consistent hashing: keys to nodes, so that few keys move when nodes come and go.

>>> servers = SlotRing(PRESETS["seed-deployed"])
>>> slots = [servers.add(name) for name in ("Server1", "Server2", "Server3")]
>>> servers.lookup(132574)
'Server1'
>>> servers.preference(132574)
('Server1', 'Server3', 'Server2')

Pure: no I/O, no clock, no randomness. Nothing here locks: a ring has one owner, and others get
copies (`owners`, `snapshot`).
"""

from ring.algorithms import ALGORITHMS, from_dict, make
from ring.anchor import AnchorHash
from ring.bounded import BoundedLoads
from ring.circle import Circle, Explanation
from ring.config import PROBINGS, AnyConfig, RingConfig, TableConfig
from ring.errors import (
    CannotRemove,
    EmptyRing,
    InvalidConfig,
    InvalidSnapshot,
    InvalidWeight,
    NodeExists,
    NodeUnknown,
    RingError,
    RingFull,
)
from ring.haproxy import HAProxyRing
from ring.hashes import (
    BYTES_HASHES,
    KEY_HASHES,
    VIRTUAL_NODE_HASHES,
    hash_many,
    integer_hash,
    key_of,
)
from ring.jump import JumpHash
from ring.ketama import KetamaRing
from ring.keys import Key, Keys
from ring.maglev import Maglev
from ring.modulo import Modulo
from ring.multiprobe import MultiProbe
from ring.nginx import NginxRing
from ring.placement import Node, Placement
from ring.presets import PRESETS
from ring.rendezvous import Rendezvous
from ring.slots import SlotRing
from ring.table import TableRing

__all__ = [
    "ALGORITHMS",
    "BYTES_HASHES",
    "KEY_HASHES",
    "PRESETS",
    "PROBINGS",
    "VIRTUAL_NODE_HASHES",
    "AnchorHash",
    "AnyConfig",
    "BoundedLoads",
    "CannotRemove",
    "Circle",
    "EmptyRing",
    "Explanation",
    "HAProxyRing",
    "InvalidConfig",
    "InvalidSnapshot",
    "InvalidWeight",
    "JumpHash",
    "KetamaRing",
    "Key",
    "Keys",
    "Maglev",
    "Modulo",
    "MultiProbe",
    "NginxRing",
    "Node",
    "NodeExists",
    "NodeUnknown",
    "Placement",
    "Rendezvous",
    "RingConfig",
    "RingError",
    "RingFull",
    "SlotRing",
    "TableConfig",
    "TableRing",
    "from_dict",
    "hash_many",
    "integer_hash",
    "key_of",
    "make",
]
