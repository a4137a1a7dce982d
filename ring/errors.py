"""Everything the ring refuses. Each message names the offending value and what is accepted.

    RingError
    ├── InvalidConfig
    ├── InvalidSnapshot
    ├── InvalidWeight
    ├── CannotRemove
    ├── NodeExists
    ├── NodeUnknown
    ├── RingFull
    └── EmptyRing

Whatever raises one of these has changed nothing.
"""


class RingError(Exception):
    """Base of all errors of this package."""


class InvalidConfig(RingError, ValueError):
    """A field of RingConfig is outside the range that it accepts."""


class InvalidSnapshot(RingError, ValueError):
    """A snapshot that no ring of this configuration can have made."""


class InvalidWeight(RingError, ValueError):
    """A weight out of range, or one that this algorithm cannot give."""


class CannotRemove(RingError):
    """The algorithm cannot take away this node; the message says which one it can."""


class NodeExists(RingError):
    """A node of this name is on the ring already."""


class NodeUnknown(RingError):
    """No node of this name is on the ring."""


class RingFull(RingError):
    """Not every virtual node of the new node finds a free slot. The message names the capacity."""


class EmptyRing(RingError):
    """A key was looked up while no node is on the ring."""
