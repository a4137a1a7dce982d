"""The hash functions of the ring, by name.

H (`KEY_HASHES`) takes a key to an integer; Φ (`VIRTUAL_NODE_HASHES`) takes virtual node j of a node
to an integer. The ring takes both mod M. All are pure and give the same in every process, which the
builtin `hash` of a text does not. They are meant to be compared, so bad ones are here on purpose.

Each H takes every key. A function of integers takes a text by its 64-bit `fingerprint`; a function
of bytes (`BYTES_HASHES`) takes an integer as decimal text. `hash_many` is H in bulk.
"""

import re
from collections.abc import Callable, Mapping
from hashlib import blake2b, md5, sha256
from types import MappingProxyType
from typing import Any, TypeAlias
from zlib import crc32

import mmh3
import numpy as np
import numpy.typing as npt
import xxhash

from ring.crc32 import crc32_many
from ring.errors import InvalidConfig
from ring.keys import PIECE, Key, Keys, bytes_of, hash_rows

KeyHash: TypeAlias = Callable[[Key], int]
BytesHash: TypeAlias = Callable[[bytes], int]
Hashes: TypeAlias = npt.NDArray[np.uint64]
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


def _sha256(data: bytes) -> int:
    """The whole digest as a big-endian integer, in range(2^256). Source: FIPS 180-4."""
    return int.from_bytes(sha256(data).digest(), "big")


def fingerprint(text: str | bytes) -> int:
    """64 bits of a text, in range(2^64): xxHash3 of its bytes. Source: Collet, xxHash 0.8."""
    return xxhash.xxh3_64_intdigest(bytes_of(text))


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


def fnv1a(data: bytes) -> int:
    """FNV-1a, 64 bits. Source: RFC 9923."""
    value = 0xCBF29CE484222325
    for octet in data:
        value = (value ^ octet) * 0x100000001B3 & _MASK_64
    return value


def _finished_crc32(data: bytes) -> int:
    """CRC-32 of the bytes, finished by splitmix64.

    CRC-32 alone is linear: texts that differ in one digit differ by the same bits everywhere, so
    their slots form a pattern. The finish spreads the 32 bits over 64 and breaks it.
    """
    return splitmix64(crc32(data))


def _virtual_node_assignment(node_id: int, _node: str, j: int) -> int:
    """i² + j² + 2j + 25, the assignment's. It is i² + (j + 1)² + 24: small ids crowd one arc."""
    return node_id * node_id + j * j + 2 * j + 25


def _virtual_node_seed_library(node_id: int, _node: str, j: int) -> int:
    """i² + j² + 2j² + 25, the seed's reading of the assignment."""
    return node_id * node_id + j * j + 2 * j * j + 25


def _virtual_node_splitmix64(node_id: int, _node: str, j: int) -> int:
    """Output j of the SplitMix64 generator seeded with splitmix64(i)."""
    return splitmix64(splitmix64(node_id) + j * _GOLDEN_GAMMA)


def _label(node: str, j: int) -> bytes:
    """The seed's text for virtual node j of a node."""
    return f"{node}-replica-{j}".encode()


# Of bytes: name -> function to range(2^64), but for sha256, whose range is 2^256.
BYTES_HASHES: Mapping[str, BytesHash] = MappingProxyType(
    {
        "crc32": _finished_crc32,
        "fnv1a": fnv1a,
        # The last 8 bytes of the digest, big-endian. Source: RFC 1321; no security is meant.
        "md5": lambda data: int.from_bytes(md5(data, usedforsecurity=False).digest()[8:], "big"),
        "sha256": _sha256,
        # BLAKE2b with a digest of 8 bytes, big-endian. Source: RFC 7693.
        "blake2": lambda data: int.from_bytes(blake2b(data, digest_size=8).digest(), "big"),
        # XXH3_64bits, seed 0. Source: Collet, xxHash 0.8.
        "xxh3": xxhash.xxh3_64_intdigest,
        # The first 64 bits of MurmurHash3_x64_128, seed 0. Source: Appleby, smhasher.
        "murmur3": lambda data: mmh3.hash64(data, 0, True, False)[0],
    }
)

# Of integers: name -> function to all integers.
_INTEGER_HASHES: Mapping[str, Callable[[int], int]] = MappingProxyType(
    {
        "identity": lambda key: key,
        "assignment": _key_assignment,
        "seed-library": _key_seed_library,
        "knuth": _key_knuth,
        "splitmix64": splitmix64,
    }
)


def _finished(name: str) -> BytesHash:
    """What becomes of a text's fingerprint: nothing more by splitmix64, its bits are mixed."""
    function = _INTEGER_HASHES[name]
    fingerprint_of = xxhash.xxh3_64_intdigest
    return fingerprint_of if name == "splitmix64" else lambda data: function(fingerprint_of(data))


# H of a text's bytes, whichever H.
TEXT_HASHES: Mapping[str, BytesHash] = MappingProxyType(
    {name: _finished(name) for name in _INTEGER_HASHES} | dict(BYTES_HASHES)
)


def integer_hash(name: str) -> Callable[[int], int]:
    """H of integers alone, for whoever counts nanoseconds."""
    of_text = TEXT_HASHES[name]
    return _INTEGER_HASHES.get(name) or (lambda key: of_text(b"%d" % key))


def _key_hash(name: str) -> KeyHash:
    of_text, of_integer = TEXT_HASHES[name], integer_hash(name)

    def key_hash(key: Key) -> int:
        if type(key) is int:
            return of_integer(key)
        if isinstance(key, (str, bytes)):
            return of_text(bytes_of(key))
        return of_integer(int(bytes_of(key)))  # of numpy's kind, or nothing that we take

    return key_hash


KEY_HASHES: Mapping[str, KeyHash] = MappingProxyType(
    {name: _key_hash(name) for name in TEXT_HASHES}
)


def check_hash(name: str) -> None:
    """InvalidConfig if there is no H of that name."""
    if name not in tuple(KEY_HASHES):  # a tuple, because a value from JSON need not be hashable
        raise InvalidConfig(f"hash must be one of {', '.join(KEY_HASHES)}, got {name!r}")


def hash_many(name: str, keys: Keys, modulus: int = 2**64) -> Hashes:
    """KEY_HASHES[name] of each key, mod `modulus` in 1..2^64; shape (n,), uint64.

    In numpy for arrays of integers and H of integers, and for crc32 of bytes; else key by key.
    """
    if name in _INTEGER_HASHES and isinstance(keys, np.ndarray) and keys.dtype.kind in "iu":
        return _many_integers(name, keys, modulus)
    if name == "crc32":
        crcs = hash_rows(keys, crc32_many).astype(np.uint64)
        return _reduced(splitmix64_many(crcs), modulus)
    one = KEY_HASHES[name]
    each = keys.tolist() if isinstance(keys, np.ndarray) else keys
    return np.fromiter((one(key) % modulus for key in each), np.uint64, len(keys))


def splitmix64_many(x: Hashes) -> Hashes:
    """splitmix64 of each, shape kept. In pieces that stay in the cache, which doubles the speed."""
    mixed = np.empty(x.shape, np.uint64)
    flat_in, flat_out = x.reshape(-1), mixed.reshape(-1)
    scratch = np.empty(min(PIECE, x.size), np.uint64)
    for start in range(0, x.size, PIECE):
        z = flat_out[start : start + PIECE]
        shifted = scratch[: len(z)]
        np.add(flat_in[start : start + PIECE], np.uint64(_GOLDEN_GAMMA), out=z)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, None)):
            np.right_shift(z, np.uint64(shift), out=shifted)
            z ^= shifted
            if factor is not None:
                z *= np.uint64(factor)
    return mixed


def _reduced(hashes: Hashes, modulus: int) -> Hashes:
    if modulus == 2**64:
        return hashes
    if modulus & (modulus - 1) == 0:  # a mask takes a tenth of a division
        return np.bitwise_and(hashes, np.uint64(modulus - 1))
    return np.remainder(hashes, np.uint64(modulus))


# Integers in bulk: a polynomial mod M depends on the key mod M alone, ⌊i²/2⌋ on the key mod 2M, for
# then i² is the same mod 4M but for multiples of 2M. So squares stay below 2^64.
_POLYNOMIALS = frozenset({"identity", "assignment", "knuth"})


def _many_integers(name: str, keys: npt.NDArray[Any], modulus: int) -> Hashes:
    wide = keys.astype(np.int64 if keys.dtype.kind == "i" else np.uint64, copy=False)
    if name == "splitmix64":
        return _reduced(splitmix64_many(wide.view(np.uint64)), modulus)
    function: Any = _INTEGER_HASHES[name]  # arithmetic, which arrays have too
    if name in _POLYNOMIALS and modulus & (modulus - 1) == 0:  # wraps at 2^64, a multiple of it
        return _reduced(function(wide.view(np.uint64)), modulus)
    base = modulus if name in _POLYNOMIALS else 2 * modulus
    if base <= 2**31:
        return _reduced(function(_residues(wide, base)), modulus)
    return np.fromiter((function(key) % modulus for key in keys.tolist()), np.uint64, len(keys))


def _residues(keys: npt.NDArray[Any], base: int) -> Hashes:
    """keys, of 64 bits, mod base, which is at most 2^31."""
    if base & (base - 1) == 0:
        return np.bitwise_and(keys.view(np.uint64), np.uint64(base - 1))
    residues: Hashes = (keys % keys.dtype.type(base)).astype(np.uint64)
    return residues


VIRTUAL_NODE_HASHES: Mapping[str, VirtualNodeHash] = MappingProxyType(
    {
        "assignment": _virtual_node_assignment,
        "seed-library": _virtual_node_seed_library,
        "splitmix64": _virtual_node_splitmix64,
        "sha256": lambda _node_id, node, j: _sha256(_label(node, j)),
        "crc32": lambda _node_id, node, j: _finished_crc32(_label(node, j)),
    }
)
