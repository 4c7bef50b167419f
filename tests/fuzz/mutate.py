"""Inputs made from good ones by damage: reproducible from a seed."""

from __future__ import annotations

import random
from collections.abc import Sequence

_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_TEXTS = (
    b"", b"null", b"-1", b"0", b"1e999", b"NaN", b"-Infinity", b"99999999999999999999", b"true",
    b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"../../etc/passwd", b"/etc/passwd", b"C:\\x", b"[[[[",
    b"{}", b"[]", b'""', b"\r\n", b"'", b'"', b"<", b">", b"&", b"\xe2\x80\xae",
)  # fmt: skip


def mutated(good: Sequence[bytes], rng: random.Random) -> bytes:
    """One of ``good`` with a few places damaged, cut off, repeated, or joined with another."""
    data = bytearray(rng.choice(good))
    for _ in range(1 + min(int(rng.expovariate(0.5)), 12)):
        _damage(data, good, rng)
    return bytes(data)


def _damage(data: bytearray, good: Sequence[bytes], rng: random.Random) -> None:
    at = rng.randrange(len(data) + 1)
    # Headers decide most of what a reader does.
    if rng.random() < 0.4:
        at = min(at, rng.randrange(1 + min(len(data), 512)))
    match rng.randrange(9):
        case 0 if at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        case 1 if at < len(data):
            data[at] = rng.randrange(256)
        case 2:
            size = rng.choice((1, 2, 4, 8))
            order = rng.choice(("big", "little"))
            value = rng.choice(_NUMBERS) & (256**size - 1)
            data[at : at + size] = value.to_bytes(size, order)
        case 3:
            data[at : at + rng.randrange(16)] = rng.choice(_TEXTS)
        case 4:
            del data[at : at + rng.randrange(1, 1 + rng.choice((8, 64, 4096)))]
        case 5:
            size = rng.randrange(1, 1 + rng.choice((8, 64, 4096)))
            data[at:at] = data[at : at + size] * rng.randrange(1, 4)
        case 6:
            other = rng.choice(good)
            start = rng.randrange(len(other) + 1)
            data[at : at + rng.randrange(64)] = other[start : start + rng.randrange(1024)]
        case 7 if rng.random() < 0.3:
            del data[at:]
        case 8:
            data[at : at + rng.randrange(1, 64)] = bytes(rng.randrange(1, 64))
