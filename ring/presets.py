"""The configurations that have a name."""

from collections.abc import Mapping
from types import MappingProxyType

from ring.config import RingConfig

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
