"""How a ring is configured, and the configurations that have a name."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ring.errors import InvalidConfig
from ring.hashes import KEY_HASHES, VIRTUAL_NODE_HASHES

ALGORITHMS = ("slots",)
PROBINGS = ("linear", "quadratic")
MAX_SLOTS = 2**20  # the arrays of one ring then take 5 MB


@dataclass(frozen=True, kw_only=True, slots=True)
class RingConfig:
    """Everything that decides a placement, apart from the history of its nodes.

    key_hash: name of H in KEY_HASHES. virtual_node_hash: name of Φ in VIRTUAL_NODE_HASHES.
    num_slots: M, in 1..2^20. num_virtual_nodes: K per node, in 1..num_slots.
    probing: what a virtual node does whose slot is taken, "linear" or "quadratic".
    InvalidConfig names the first field that is out of its range.
    """

    algorithm: str = "slots"
    key_hash: str
    virtual_node_hash: str
    num_slots: int
    num_virtual_nodes: int
    probing: str = "linear"

    def __post_init__(self) -> None:
        _check_name("algorithm", self.algorithm, ALGORITHMS)
        _check_name("key_hash", self.key_hash, KEY_HASHES)
        _check_name("virtual_node_hash", self.virtual_node_hash, VIRTUAL_NODE_HASHES)
        _check_integer("num_slots", self.num_slots, MAX_SLOTS)
        _check_integer("num_virtual_nodes", self.num_virtual_nodes, self.num_slots)
        _check_name("probing", self.probing, PROBINGS)

    @property
    def capacity(self) -> int:
        """How many nodes the slots suffice for: num_slots // num_virtual_nodes."""
        return self.num_slots // self.num_virtual_nodes


def _check_name(field: str, value: object, accepted: Collection[str]) -> None:
    # A tuple, because a value read from JSON need not be hashable.
    if value not in tuple(accepted):
        raise InvalidConfig(f"{field} must be one of {', '.join(accepted)}, got {value!r}")


def _check_integer(field: str, value: object, maximum: int) -> None:
    # The exact type, because True is an int too.
    if type(value) is not int or not 1 <= value <= maximum:
        raise InvalidConfig(f"{field} must be an integer in 1..{maximum}, got {value!r}")


PRESETS: Mapping[str, RingConfig] = MappingProxyType(
    {
        # "Implementing a Customizable Load Balancer", CS60002, IIT Kharagpur, 2024; K = log2 M.
        "assignment": RingConfig(
            key_hash="assignment",
            virtual_node_hash="assignment",
            num_slots=512,
            num_virtual_nodes=9,
        ),
        # The seed's library: the same sizes, both polynomials read differently.
        "seed-library": RingConfig(
            key_hash="seed-library",
            virtual_node_hash="seed-library",
            num_slots=512,
            num_virtual_nodes=9,
        ),
        # What the seed's load balancer runs with: room for 6 nodes.
        "seed-deployed": RingConfig(
            key_hash="knuth",
            virtual_node_hash="sha256",
            num_slots=2048,
            num_virtual_nodes=300,
        ),
        # Room for 409 nodes, whose shares stay within a few 1/√K = 8 % of the mean.
        "default": RingConfig(
            key_hash="splitmix64",
            virtual_node_hash="sha256",
            num_slots=65_536,
            num_virtual_nodes=160,
        ),
    }
)
