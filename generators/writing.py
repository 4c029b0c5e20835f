"""Canonical YAML: one way to write an object, byte-identical on every machine.

Keys are sorted; a string is plain only if no YAML 1.1 or 1.2 reader can take it for anything else, else it is
double-quoted; LF, UTF-8, no anchors, no folding, `{}` and `[]` kept.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

# Plain only if it begins with a letter and holds nothing that begins a comment, a mapping or a flow.
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./@+-]*(?: [A-Za-z0-9_./@+-]+)*")
# YAML 1.1 reads these as booleans or null; Go's and Python's readers differ on them.
_WORDS = frozenset({"y", "n", "yes", "no", "true", "false", "on", "off", "null", "nan", "inf"})


def to_yaml(body: Mapping[str, Any], *, source: str) -> str:
    """One object as a file, with its provenance as the header."""
    return f"# from: {source}\n" + "\n".join(_lines(body, 0)) + "\n"


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file at once: a full disk leaves the old one, never half of the new. Raises OSError."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except FileNotFoundError:
        path.parent.mkdir(parents=True)  # raises FileExistsError rather than going round for ever
        write_whole(path, content)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _lines(value: Any, depth: int) -> Iterator[str]:
    pad = "  " * depth
    if isinstance(value, Mapping):
        for key in sorted(value):
            yield from _entry(f"{pad}{_scalar(key)}:", value[key], depth + 1)
    else:
        for item in value:
            yield from _item(pad, item, depth)


def _entry(head: str, value: Any, depth: int) -> Iterator[str]:
    if _is_block(value):
        yield head
        # a list stands at the depth of its key, as kubectl writes it
        yield from _lines(value, depth if isinstance(value, Mapping) else depth - 1)
    else:
        yield f"{head} {_scalar(value)}"


def _item(pad: str, item: Any, depth: int) -> Iterator[str]:
    if _is_block(item):
        first, *rest = _lines(item, depth + 1)
        yield f"{pad}- {first.lstrip(' ')}"
        yield from rest
    else:
        yield f"{pad}- {_scalar(item)}"


def _is_block(value: Any) -> bool:
    return isinstance(value, Mapping | list | tuple) and len(value) > 0


def _scalar(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return _decimal(value)
        case str():
            return value if _is_plain(value) else _quoted(value)
        case Mapping():
            return "{}"
        case Sequence():
            return "[]"
    raise TypeError(f"{value!r}: a {type(value).__name__} has no YAML form here; give plain data")


def _decimal(value: float) -> str:
    """Shortest form that reads back as the same number; YAML 1.1 wants a point before the exponent."""
    if not math.isfinite(value):
        raise TypeError(f"{value!r}: is no finite number; a manifest has none")
    mantissa, exponent, power = repr(value).partition("e")
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}{exponent}{power}"


def _is_plain(text: str) -> bool:
    return bool(_PLAIN.fullmatch(text)) and text.lower() not in _WORDS


def _quoted(text: str) -> str:
    """JSON's string form, which YAML 1.2 contains; what JSON leaves raw and YAML 1.1 breaks on is escaped."""
    quoted = json.dumps(text, ensure_ascii=False)
    return re.sub(r"[\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]", lambda m: f"\\u{ord(m[0]):04x}", quoted)
