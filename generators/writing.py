"""Canonical YAML: one way to write an object, byte-identical on every machine.

Keys are sorted; a string is plain only if no YAML 1.1 or 1.2 reader can take it for anything else, else it is
double-quoted; a text of several lines stands in lines, so that a change of one shows as one; LF, UTF-8, no anchors, no
folding, `{}` and `[]` kept.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

# Plain only if it begins with a letter and holds nothing that begins a comment, a mapping or a flow.
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./@+-]*(?: [A-Za-z0-9_./@+-]+)*")
# Lines of visible ASCII, the first not indented, none with a blank at its end, and one line feed after the last one:
# the literal form needs no indicator then, and no reader changes a byte of it.
_LINES = re.compile(r"[!-~](?:[ -~]*[!-~])?\n(?:(?: *[!-~](?:[ -~]*[!-~])?)?\n)*")
# YAML 1.1 reads these as booleans or null; Go's and Python's readers differ on them.
_WORDS = frozenset({"y", "n", "yes", "no", "true", "false", "on", "off", "null", "nan", "inf"})


def to_yaml(body: Mapping[str, Any], *, source: str) -> str:
    """One object as a file, with its provenance as the header."""
    lines = [f"# from: {source}"]
    _write(body, 0, lines)
    return "\n".join(lines) + "\n"


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


def _write(value: Any, depth: int, out: list[str]) -> None:
    """The lines of a mapping or list; appended, because passing each up through its parents took most of the time."""
    pad = "  " * depth
    if isinstance(value, Mapping):
        for key in sorted(value):
            inner, head = value[key], f"{pad}{_scalar(key)}:"
            if _is_block(inner):
                out.append(head)
                # a list stands at the depth of its key, as kubectl writes it
                _write(inner, depth + 1 if isinstance(inner, Mapping) else depth, out)
            elif isinstance(inner, str) and "\n" in inner and _is_literal(inner):
                out.append(f"{head} |")
                out += [f"{pad}  {line}" if line else "" for line in inner[:-1].split("\n")]
            else:
                out.append(f"{head} {_scalar(inner)}")
        return
    for item in value:
        if _is_block(item):
            first = len(out)
            _write(item, depth + 1, out)
            out[first] = f"{pad}- {out[first].lstrip(' ')}"
        else:
            out.append(f"{pad}- {_scalar(item)}")


def _is_block(value: Any) -> bool:
    return isinstance(value, (dict, list, tuple, Mapping)) and len(value) > 0


def _is_literal(text: str) -> bool:
    return bool(_LINES.fullmatch(text)) and not text.endswith("\n\n")


def _scalar(value: Any) -> str:
    match value:
        case str():
            return _text(value)
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return _decimal(value)
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


@lru_cache(maxsize=4096)  # keys, and values that most objects share
def _text(value: str) -> str:
    is_plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
    return value if is_plain else _quoted(value)


def _quoted(text: str) -> str:
    """JSON's string form, which YAML 1.2 contains; what JSON leaves raw and YAML 1.1 breaks on is escaped."""
    quoted = json.dumps(text, ensure_ascii=False)
    return re.sub(r"[\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]", lambda m: f"\\u{ord(m[0]):04x}", quoted)
