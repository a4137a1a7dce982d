"""What a key can be: an integer, a text, or bytes.

A text counts as its UTF-8 bytes. Hash functions of integers take texts by their 64-bit fingerprint,
hash functions of bytes take integers as decimal text, so that each works for every key
(`ring.hashes`).

Bulk calls take numpy arrays of integers, of fixed-width bytes (dtype S: numpy cannot tell trailing
NUL bytes from padding, and drops them) or of text (dtype U, likewise), and sequences of keys.
"""

from collections.abc import Callable, Iterator, Sequence
from operator import index
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Key: TypeAlias = int | str | bytes
Keys: TypeAlias = npt.NDArray[Any] | Sequence[Key]
Rows: TypeAlias = npt.NDArray[np.uint8]

PIECE = 1 << 16  # keys at a time in bulk: 512 KB of hashes, which stay in a second cache


def bytes_of(key: Key) -> bytes:
    """A text as UTF-8 (lone surrogates too, for JSON can carry them), an integer in decimal, bytes
    as they are. TypeError for anything else."""
    if isinstance(key, str):
        return key.encode("utf-8", "surrogatepass")
    if isinstance(key, bytes):
        return key
    try:
        return b"%d" % index(key)
    except TypeError:
        raise TypeError(f"a key must be an int, str or bytes, got {key!r}") from None


def grouped(keys: Keys) -> Iterator[tuple[npt.NDArray[np.intp], Rows]]:
    """The keys as bytes, those of one length together: their positions, shape (n,), and one row of
    bytes for each, shape (n, length)."""
    if isinstance(keys, np.ndarray) and keys.dtype.kind == "S":
        width = keys.dtype.itemsize
        rows = np.ascontiguousarray(keys).view(np.uint8).reshape(len(keys), width)
        if np.count_nonzero(rows[:, -1]) == len(rows):  # nobody is padded: the usual case
            yield np.arange(len(keys)), rows
            return
        lengths = np.strings.str_len(keys)
        for length in np.unique(lengths):
            positions = np.flatnonzero(lengths == length)
            yield positions, rows[positions, :length]
        return
    each = [bytes_of(key) for key in (keys.tolist() if isinstance(keys, np.ndarray) else keys)]
    by_length: dict[int, list[int]] = {}
    for position, data in enumerate(each):
        by_length.setdefault(len(data), []).append(position)
    for length, found in by_length.items():
        joined = b"".join(each[position] for position in found)
        rows = np.frombuffer(joined, np.uint8).reshape(len(found), length)
        yield np.array(found, np.intp), rows


def hash_rows(
    keys: Keys, hashed: Callable[[Rows], npt.NDArray[np.uint32]]
) -> npt.NDArray[np.uint32]:
    """`hashed`, a function of equally long rows, of the keys as bytes, whatever their lengths."""
    found = np.empty(len(keys), np.uint32)
    for positions, rows in grouped(keys):
        if len(rows) == len(found):
            return hashed(rows)
        found[positions] = hashed(rows)
    return found
