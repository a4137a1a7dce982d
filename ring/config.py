"""How a ring is configured: by hash functions and sizes, or by a table of its slots."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from ring.errors import InvalidConfig
from ring.hashes import KEY_HASHES, VIRTUAL_NODE_HASHES

PROBINGS = ("linear", "quadratic", "double")
MAX_SLOTS = 2**20  # the arrays of one ring then take 5 MB


@dataclass(frozen=True, kw_only=True, slots=True)
class RingConfig:
    """Everything that decides a placement, apart from the history of its nodes.

    key_hash: name of H in KEY_HASHES. virtual_node_hash: name of Φ in VIRTUAL_NODE_HASHES.
    num_slots: M, in 1..2^20. num_virtual_nodes: K per node, in 1..num_slots.
    probing: what a virtual node does whose slot is taken, "linear", "quadratic"
    or "double".
    InvalidConfig names the first field that is out of its range.
    """

    algorithm: str = "slots"
    key_hash: str
    virtual_node_hash: str
    num_slots: int
    num_virtual_nodes: int
    probing: str = "linear"

    def __post_init__(self) -> None:
        _check_name("algorithm", self.algorithm, ["slots"])
        _check_name("key_hash", self.key_hash, KEY_HASHES)
        _check_name("virtual_node_hash", self.virtual_node_hash, VIRTUAL_NODE_HASHES)
        _check_integer("num_slots", self.num_slots, MAX_SLOTS)
        _check_integer("num_virtual_nodes", self.num_virtual_nodes, self.num_slots)
        _check_name("probing", self.probing, PROBINGS)

    @property
    def capacity(self) -> int:
        """How many nodes the slots suffice for: num_slots // num_virtual_nodes."""
        return self.num_slots // self.num_virtual_nodes

    def summary(self) -> dict[str, Any]:
        """Field -> value, for people to read."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class TableConfig:
    """A placement that somebody else has worked out, as data.

    table: name of each slot's node, length M in 1..2^20. key_hash: name of H in KEY_HASHES.
    InvalidConfig names what is wrong.
    """

    algorithm: str = "table"
    key_hash: str
    table: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_name("algorithm", self.algorithm, ["table"])
        _check_name("key_hash", self.key_hash, KEY_HASHES)
        object.__setattr__(self, "table", tuple(self.table))  # from JSON it comes as a list
        _check_integer("the table's length", self.num_slots, MAX_SLOTS)
        for slot, node in enumerate(self.table):
            if type(node) is not str:
                raise InvalidConfig(f"table[{slot}] must be a node's name, got {node!r}")

    @property
    def num_slots(self) -> int:
        """M, the table's length."""
        return len(self.table)

    @property
    def capacity(self) -> int:
        """How many nodes the table has slots for: those that it names."""
        return len(set(self.table))

    def summary(self) -> dict[str, Any]:
        """Field -> value, for people to read; the table's length in place of the table."""
        return {
            "algorithm": self.algorithm,
            "key_hash": self.key_hash,
            "num_slots": self.num_slots,
        }


AnyConfig: TypeAlias = RingConfig | TableConfig


def _check_name(field: str, value: object, accepted: Collection[str]) -> None:
    # A tuple, because a value read from JSON need not be hashable.
    if value not in tuple(accepted):
        raise InvalidConfig(f"{field} must be one of {', '.join(accepted)}, got {value!r}")


def _check_integer(field: str, value: object, maximum: int) -> None:
    # The exact type, because True is an int too.
    if type(value) is not int or not 1 <= value <= maximum:
        raise InvalidConfig(f"{field} must be an integer in 1..{maximum}, got {value!r}")
