"""A file's bytes made wrong at random: bits, words, lines, values, the end."""

from collections.abc import Callable
from random import Random

WORDS = (
    b"null", b"true", b"yes", b"{}", b"[]", b"''", b"*", b"&a", b"*a", b"!!python/object:x", b"<<", b"- ", b": ", b"? ",
    b"|", b">", b"%", b"---\n", b"...\n", b"\0", b"\xff", b"\xef\xbb\xbf", "\u2028\u202e\u00a0".encode(), b"1e999",
    b"9" * 400, b"-1", b"0x1f", b"0o17", b"2026-01-01", b"[" * 200, b"{a: " * 90, b"- " * 300, b"\t", b"\r", b"#", b'"',
)  # fmt: skip
Corruption = Callable[[bytes, Random], bytes]


def flipped(data: bytes, draw: Random) -> bytes:
    made = bytearray(data)
    for _ in range(1 + draw.randrange(3)):
        made[draw.randrange(len(made))] ^= 1 << draw.randrange(8)
    return bytes(made)


def cut(data: bytes, draw: Random) -> bytes:
    return data[: draw.randrange(len(data))]


def written_into(data: bytes, draw: Random) -> bytes:
    at = draw.randrange(len(data))
    return data[:at] + draw.choice(WORDS) + data[at + draw.randrange(4) :]


def with_lines(data: bytes, draw: Random) -> bytes:
    """A line twice, gone, moved, or indented otherwise."""
    lines = data.split(b"\n")
    at, to = draw.randrange(len(lines)), draw.randrange(len(lines))
    change = draw.randrange(4)
    if change == 0:
        lines.insert(at, lines[at])
    elif change == 1:
        del lines[at]
    elif change == 2:
        lines[at], lines[to] = lines[to], lines[at]
    else:
        lines[at] = b"  " + lines[at] if draw.random() < 0.5 else lines[at].removeprefix(b"  ")
    return b"\n".join(lines)


def with_another_value(data: bytes, draw: Random) -> bytes:
    lines = data.split(b"\n")
    at = draw.choice([number for number, line in enumerate(lines) if b":" in line] or [0])
    lines[at] = lines[at].partition(b":")[0] + b": " + draw.choice(WORDS)
    return b"\n".join(lines)


CORRUPTIONS: tuple[Corruption, ...] = (flipped, cut, written_into, with_lines, with_another_value)


def corrupted(data: bytes, draw: Random) -> bytes:
    for _ in range(1 + draw.randrange(2)):
        data = draw.choice(CORRUPTIONS)(data or b"a: b", draw)
    return data
