"""Ids and texts with an id in them, by which a filled-in text could come out otherwise than a parsed one."""

from collections.abc import Callable, Iterable

from hypothesis import strategies as st
from isolation.manifests.refusals import Refused

# Ids that YAML, Go or an escape could take for something else, and texts that make the most of it.
IDS = ("acme", "globex", "null", "yes", "inf", "nan", "e-1", "e-10", "abad1dea", "x41", "u0041", "a--b", "str", "key")
TEXTS = (
    "a: {id}",
    "{id}: 1",
    "{id}: 1\nacme: 2",
    '{id}: 1\n"\\x61cme": 2',
    "a: .{id}",
    "a: 1.{id}",
    "a: -{id}",
    'a: "\\{id}"',
    'a: "\\x{id}"',
    'a: "\\n{id}"',
    "a: '{id}'",
    "a: |\n  {id}\n  b",
    "a: !!{id} b",
    "a: &{id} b",
    "a: *{id}",
    "a: b # {id}",
    "---\na: {id}\n---\nb: {id}-train",
    "a: {id}{id}",
    "a: x{id} {id}x",
    "a: [{id}, {{b: {id}}}]",
    "? {id}\n: b",
    "a: {id}-12345678",
    "a: -12345678",
    "a: [-12345678, -1234567e]",
    "b-12345678: 1\nb-12345679: 2\nc: b-12345678",
    "a: |-12345678",
    "%{id} x\n---\na: b",
    "a: {id}: b",
    "a: {id} #b",
    "{id}",
    "a: " + "q" * 32 + "{id}",
    "a: " + "{id} " * 30,
)

PIECES = st.sampled_from(
    [
        "{id}",
        "-",
        " ",
        "\n",
        ":",
        ": ",
        "- ",
        '"',
        "'",
        "\\",
        "#",
        "{{",
        "}}",
        "[",
        "]",
        ",",
        "a",
        "1",
        ".",
        "|",
        "!",
        "&",
    ]
)


def outcome(read: Callable[[], Iterable[object]]) -> object:
    """What it gives, or why it refuses."""
    try:
        return list(read())
    except Refused as refused:
        return str(refused)
