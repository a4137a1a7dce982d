"""The hash functions: known values, and what the course says of the bad ones."""

from collections.abc import Callable
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ring.errors import InvalidConfig
from ring.hashes import (
    KEY_HASHES,
    TEXT_HASHES,
    VIRTUAL_NODE_HASHES,
    check_hash,
    fingerprint,
    hash_many,
    integer_hash,
    key_of,
    splitmix64,
)

GOLDEN_GAMMA = 0x9E3779B97F4A7C15

# Source: Rosetta Code, "Pseudo-random numbers/Splitmix64", first five outputs of seed 1234567.
SPLITMIX64_1234567 = [
    6457827717110365317,
    3203168211198807973,
    9817491932198370423,
    4593380528125082431,
    16408922859458223821,
]


def test_splitmix64_gives_the_published_stream() -> None:
    """Output j of the generator is splitmix64(seed + j · gamma)."""
    assert SPLITMIX64_1234567 == [splitmix64(1234567 + j * GOLDEN_GAMMA) for j in range(5)]


@pytest.mark.parametrize(
    ("name", "key", "expected"),
    [
        ("identity", 7, 7),
        ("assignment", 1, 20),
        ("assignment", 10, 137),
        ("seed-library", 3, 27),
        ("knuth", 2, 5308871522),
        ("splitmix64", 1234567, SPLITMIX64_1234567[0]),
        # SHA-256 of "1".
        ("sha256", 1, 0x6B86B273FF34FCE19D6B804EFF5A3F5747ADA4EAA22F1D49C01E52DDB7875B4B),
        # 0xCBF43926 is the check value of CRC-32, its result for the text "123456789".
        ("crc32", 123456789, splitmix64(0xCBF43926)),
    ],
)
def test_key_hash_known_value(name: str, key: int, expected: int) -> None:
    """Each H gives the value worked out by hand or published for it."""
    assert expected == KEY_HASHES[name](key)


@pytest.mark.parametrize(
    ("name", "node_id", "node", "j", "expected"),
    [
        ("assignment", 1, "Server1", 0, 26),
        ("assignment", 3, "Server3", 8, 114),
        ("seed-library", 2, "Server2", 3, 56),
        ("splitmix64", 0, "Server0", 0, splitmix64(0xE220A8397B1DCDAF)),
        # sha256sum of the text "Server1-replica-0".
        (
            "sha256",
            1,
            "Server1",
            0,
            0xC79C461472933478474FF65E9C1B545BF7F059392DD441113C7391FE39B94843,
        ),
        # CRC-32 that gzip stores for the text "Server1-replica-0".
        ("crc32", 1, "Server1", 0, splitmix64(0x80B02376)),
    ],
)
def test_virtual_node_hash_known_value(
    name: str, node_id: int, node: str, j: int, expected: int
) -> None:
    """Each Φ gives the value worked out by hand or by another program."""
    assert expected == VIRTUAL_NODE_HASHES[name](node_id, node, j)


@pytest.mark.parametrize("key_hash", KEY_HASHES.values(), ids=KEY_HASHES.keys())
@pytest.mark.parametrize("key", [0, -1, -132574, 2**64, 10**640 - 1])
def test_key_hash_takes_every_key_of_key_of(key_hash: Callable[[int], int], key: int) -> None:
    """Negative and huge keys are hashed like all others."""
    assert isinstance(key_hash(key), int)


@pytest.mark.parametrize("name", ["splitmix64", "sha256", "crc32"])
def test_good_virtual_node_hashes_do_not_collide(name: str) -> None:
    """100 virtual nodes of 20 nodes get 2000 different values."""
    values = {
        VIRTUAL_NODE_HASHES[name](node_id, f"Server{node_id}", j)
        for node_id in range(20)
        for j in range(100)
    }
    assert 2000 == len(values)


def test_assignment_key_hash_reaches_87_of_512_slots() -> None:
    """Shifted squares mod 512 take 87 values, however many keys there are."""
    assert 87 == len({KEY_HASHES["assignment"](key) % 512 for key in range(10_000)})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("132574", 132574),
        (b"132574", 132574),
        ("-7", -7),
        ("007", 7),
        ("9" * 640, 10**640 - 1),
        # First 16 hexadecimal digits of sha256sum.
        ("", 0xE3B0C44298FC1C14),
        ("abc", 0xBA7816BF8F01CFEA),
        (b"abc", 0xBA7816BF8F01CFEA),
    ],
)
def test_key_of_known_value(text: str | bytes, expected: int) -> None:
    """An integer is its own key, any other text has the first 8 bytes of its SHA-256."""
    assert expected == key_of(text)


@pytest.mark.parametrize(
    "text", ["+7", "--7", "-", " 7", "7\n", "1_000", "1e3", "٣", "9" * 641, "\ud800"]
)
def test_key_of_hashes_what_only_resembles_an_integer(text: str) -> None:
    """int() would take some of these, or fail on them; a key comes from the exact bytes."""
    digest = sha256(text.encode("utf-8", "surrogatepass")).digest()
    assert int.from_bytes(digest[:8], "big") == key_of(text)


@given(st.integers())
def test_key_of_returns_every_integer_as_it_is(key: int) -> None:
    """Clients that choose integer ids know the key."""
    assert key == key_of(str(key)) == key_of(str(key).encode())


@given(st.text(st.characters(codec="utf-8")))
def test_key_of_text_is_key_of_its_utf8(text: str) -> None:
    """A header's bytes and the same id from JSON have one key."""
    assert key_of(text.encode()) == key_of(text)


# Keys of every kind


@pytest.mark.parametrize("name", KEY_HASHES)
@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=8), st.sampled_from([7, 512, 2**20, 2**64])
)
def test_integers_in_bulk(name: str, keys: list[int], modulus: int) -> None:
    """Of numpy's as of Python's, exact mod everything, by the quick way and the slow one."""
    expected = [KEY_HASHES[name](key) % modulus for key in keys]
    assert expected == hash_many(name, np.array(keys, np.int64), modulus).tolist()
    assert expected == hash_many(name, keys, modulus).tolist()
    assert expected == [integer_hash(name)(key) % modulus for key in keys]


@pytest.mark.parametrize("name", KEY_HASHES)
def test_a_text_is_its_bytes(name: str) -> None:
    """In bulk too, and whoever takes the quick way for texts."""
    texts = ["cart-17", "", "Grüße", "cart-18"]
    expected = [KEY_HASHES[name](text) % 2**64 for text in texts]
    assert expected == [KEY_HASHES[name](text.encode()) % 2**64 for text in texts]
    assert expected == [TEXT_HASHES[name](text.encode()) % 2**64 for text in texts]
    assert expected == hash_many(name, texts).tolist()
    assert expected == hash_many(name, np.array([text.encode() for text in texts])).tolist()
    assert len(texts) == len(set(expected))


def test_functions_of_integers_take_fingerprints_of_texts() -> None:
    """Which splitmix64 leaves as they are, for they are mixed."""
    assert fingerprint("cart-17") == KEY_HASHES["splitmix64"]("cart-17")
    assert fingerprint("cart-17") * 2654435761 == KEY_HASHES["knuth"]("cart-17")
    # XXH3_64bits of nothing, seed 0. Source: xxHash 0.8, cli/xsum_sanity_check.c.
    assert 0x2D06800538D394C2 == fingerprint("")


def test_functions_of_bytes_take_integers_in_decimal() -> None:
    """As nginx would see them in a header."""
    for name in ("crc32", "md5", "sha256", "blake2", "fnv1a", "xxh3", "murmur3"):
        assert KEY_HASHES[name]("132574") == KEY_HASHES[name](132574)


def test_an_unknown_hash() -> None:
    """The value is named, and what is accepted."""
    with pytest.raises(InvalidConfig, match=r"hash must be one of identity, .*, got 'rot13'"):
        check_hash("rot13")
