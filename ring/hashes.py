"""The hash functions of the ring, by name.

H (`KEY_HASHES`) takes a key to an integer; Φ (`VIRTUAL_NODE_HASHES`) takes virtual node j of a node
to an integer. The ring takes both mod M. All are pure and give the same in every process, which the
builtin `hash` of a text does not. They are meant to be compared, so bad ones are here on purpose.
"""

import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import TypeAlias
from zlib import crc32

KeyHash: TypeAlias = Callable[[int], int]
VirtualNodeHash: TypeAlias = Callable[[int, str, int], int]  # node_id, node, j

_MASK_64 = 2**64 - 1
_GOLDEN_GAMMA = 0x9E3779B97F4A7C15  # 2^64 / golden ratio, made odd: the step of SplitMix64

# 640 digits is what CPython converts under any setting (sys.int_info.str_digits_check_threshold);
# more may raise, and costs quadratic time that a client could make us spend.
_DECIMAL_INTEGER = re.compile(rb"-?[0-9]{1,640}")


def key_of(text: str | bytes) -> int:
    """Key of a request id: a decimal integer as it is, any other text by its hash.

    "132574" -> 132574, "-7" -> -7, "cart-17" -> first 8 bytes of its SHA-256, big-endian. A decimal
    integer is ASCII digits, at most 640, after at most one "-". A str counts as its UTF-8 bytes.
    Pure; accepts every text, the empty one too.
    """
    # surrogatepass: JSON can carry lone surrogates, and an id must not be able to raise.
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if _DECIMAL_INTEGER.fullmatch(data):
        return int(data)
    return int.from_bytes(sha256(data).digest()[:8], "big")


def splitmix64(x: int) -> int:
    """First output of SplitMix64 seeded with x mod 2^64: a permutation of range(2^64).

    Every bit of x changes each bit of the result with a probability near 1/2. Source: Steele, Lea,
    Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014; Vigna's splitmix64.c.
    """
    z = (x + _GOLDEN_GAMMA) & _MASK_64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & _MASK_64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & _MASK_64
    return z ^ (z >> 31)


def _sha256(text: str) -> int:
    """The whole digest of the text as a big-endian integer, in range(2^256)."""
    return int.from_bytes(sha256(text.encode()).digest(), "big")


def _crc32(text: str) -> int:
    """CRC-32 of the text, finished by splitmix64.

    CRC-32 alone is linear: texts that differ in one digit differ by the same bits everywhere, so
    their slots form a pattern. The finish spreads the 32 bits over 64 and breaks it.
    """
    return splitmix64(crc32(text.encode()))


def _key_assignment(key: int) -> int:
    """i² + 2i + 17, the assignment's. It is (i + 1)² + 16, and mod 512 squares take 87 values."""
    return key * key + 2 * key + 17


def _key_seed_library(key: int) -> int:
    """⌊i² / 2⌋ + 2i + 17, the seed's reading of the assignment."""
    return key * key // 2 + 2 * key + 17


def _key_knuth(key: int) -> int:
    """i · 2654435761, a prime near 2^32 / golden ratio. Source: Knuth, TAOCP 3, 6.4.

    Knuth takes the high bits of the product mod 2^32. Taken mod a power of two, as in the seed, it
    only permutes the residues of i: regular ids stay regular.
    """
    return key * 2654435761


def _virtual_node_assignment(node_id: int, _node: str, j: int) -> int:
    """i² + j² + 2j + 25, the assignment's. It is i² + (j + 1)² + 24: small ids crowd one arc."""
    return node_id * node_id + j * j + 2 * j + 25


def _virtual_node_seed_library(node_id: int, _node: str, j: int) -> int:
    """i² + j² + 2j² + 25, the seed's reading of the assignment."""
    return node_id * node_id + j * j + 2 * j * j + 25


def _virtual_node_splitmix64(node_id: int, _node: str, j: int) -> int:
    """Output j of the SplitMix64 generator seeded with splitmix64(i)."""
    return splitmix64(splitmix64(node_id) + j * _GOLDEN_GAMMA)


def _label(node: str, j: int) -> str:
    """The seed's text for virtual node j of a node."""
    return f"{node}-replica-{j}"


KEY_HASHES: Mapping[str, KeyHash] = MappingProxyType(
    {
        "identity": lambda key: key,
        "assignment": _key_assignment,
        "seed-library": _key_seed_library,
        "knuth": _key_knuth,
        "splitmix64": splitmix64,
        "sha256": lambda key: _sha256(str(key)),
        "crc32": lambda key: _crc32(str(key)),
    }
)

VIRTUAL_NODE_HASHES: Mapping[str, VirtualNodeHash] = MappingProxyType(
    {
        "assignment": _virtual_node_assignment,
        "seed-library": _virtual_node_seed_library,
        "splitmix64": _virtual_node_splitmix64,
        "sha256": lambda _node_id, node, j: _sha256(_label(node, j)),
        "crc32": lambda _node_id, node, j: _crc32(_label(node, j)),
    }
)
