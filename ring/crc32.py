"""CRC-32 of many texts at once, in numpy.

CRC-32 is affine over GF(2): the checksum of n bytes is that of n NUL bytes, XOR a linear map of the
bytes. A linear map of a text is the XOR of what each of its parts gives alone; so two bytes are one
look into a table of 65,536 entries for their distance from the end. Eight such tables, 2 MiB, cover
16 bytes; a longer text is taken 16 bytes at a time, what was before XORed into the first four.

Sources: ISO 3309, the polynomial; Kounavis, Berry, "A systematic approach to building high
performance software-based CRC generators", ISCC 2005, the tables.
"""

from functools import cache
from zlib import crc32

import numpy as np
import numpy.typing as npt

from ring.keys import PIECE

_POLYNOMIAL = 0xEDB88320  # x^32 + x^26 + … + 1, lowest bit first
_STEP = 16  # bytes that are taken in at once


def crc32_many(rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    """zlib.crc32 of each row. rows: shape (n, length); the result has shape (n,). Pure.

    Half a nanosecond or less per byte, where a loop over zlib.crc32 takes 100 ns per row.
    """
    n, length = rows.shape
    rows = np.ascontiguousarray(rows)
    checksums = np.full(n, crc32(bytes(length)), dtype=np.uint32)
    for start in range(0, n if length else 0, PIECE):
        chunk = slice(start, start + PIECE)
        checksums[chunk] ^= _linear(rows[chunk])
    return checksums


def _linear(rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    """CRC-32 without its constant: of each row, starting from 0 and not inverted at the end."""
    n, length = rows.shape
    register = np.zeros(n, np.uint32)
    begin, end = 0, (length - 1) % _STEP + 1  # the first step leaves whole steps
    while begin < length:
        register = _step(rows, begin, end, register)
        begin, end = end, end + _STEP
    return register


def _step(
    rows: npt.NDArray[np.uint8], begin: int, end: int, register: npt.NDArray[np.uint32]
) -> npt.NDArray[np.uint32]:
    """The same of bytes begin..end, at most _STEP, that nothing follows; `register`: what the bytes
    before gave, which is XORed into the first four."""
    n, length = rows.shape
    found, part = np.zeros(n, np.uint32), np.empty(n, np.uint32)
    index = np.empty(n, np.intp)
    for table, at in zip(_tables(), range(end - 2, begin - 2, -2), strict=False):
        if at < begin:  # one byte is left; the NUL before it does not count
            pair = rows[:, begin].astype(np.uint16) << 8
        else:
            pair = np.ndarray((n,), "<u2", rows, at, (length,))
        if begin and at < begin + 4:
            pair = pair ^ (register >> 8 * (at - begin)).astype(np.uint16)
        elif pair[0] == pair[-1] and (pair == pair[0]).all():
            # Texts often begin alike: what all of them have there is looked up once.
            found ^= table[pair[0]]
            continue
        index[...] = pair
        # "clip", because the default mode makes copies to be safe; all indices are in range.
        found ^= table.take(index, out=part, mode="clip")
    return found


@cache  # a constant, made when it is first wanted
def _tables() -> tuple[npt.NDArray[np.uint32], ...]:
    """Entry k: what two bytes, the first of them the low one, give when 2k bytes follow them."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(_POLYNOMIAL), table >> 1)
    one = [table]  # entry i: what one byte gives when i bytes follow
    while len(one) < _STEP:
        one.append(table[one[-1] & 0xFF] ^ (one[-1] >> 8))
    return tuple(np.bitwise_xor.outer(one[i], one[i + 1]).ravel() for i in range(0, _STEP, 2))
