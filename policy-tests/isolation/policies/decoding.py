"""An object's fields as the agent decodes them, and what is wrong with them as fields.

Source: Cilium 1.20.2 decodes with Go's encoding/json: a field of the wrong type loses the whole object, an unknown
field is dropped without a word, and null is an absent field, or the zero value as an item of a list. Selectors alone
decode a null as `{}`, which selects everything.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from isolation.manifests.faults import Fault
from isolation.manifests.node import Node
from isolation.manifests.reading import DocumentPath
from isolation.policies.addresses import network_of
from isolation.policies.policy_schema import SPEC, Fields, Flag, Items, NumberOrText, Shape, Text, TextMap, Whole

_INT32 = 1 << 31
_LEADING_ZEROS = re.compile(r"\b0+(?=[0-9])")  # which the API server reads as decimal, and the agent refuses
_ABSENT = object()
_LONGEST_SHOWN = 60
_IS_NULL = "is null; leave the field out"
_TOP = ("apiVersion", "kind", "metadata", "spec", "specs", "status")


@dataclass
class Decoding:
    """One walk through an object.

    mistyped: the agent cannot decode the object. unknown: fields that it drops. violations: what the CRD's schema
    refuses beyond these two.
    """

    mistyped: list[Fault] = field(default_factory=list)
    unknown: list[Fault] = field(default_factory=list)
    violations: list[Fault] = field(default_factory=list)

    @property
    def schema_faults(self) -> tuple[Fault, ...]:
        """Everything for which the API server would refuse, or prune, the object."""
        return (*self.mistyped, *self.unknown, *self.violations)

    def decode(self, shape: Shape, value: Any, path: DocumentPath) -> Any:
        """The value as Go has it; what the shape says against it is noted."""
        if value is None:
            self.violations.append(Fault(path, _IS_NULL))
            return {} if isinstance(shape, Fields) and shape.is_selector else _ABSENT
        match shape:
            case Fields():
                return self._fields(shape, value, path)
            case Items():
                return self._items(shape, value, path)
            case TextMap():
                return self._map(shape, value, path)
            case _:
                self._scalar(shape, value, path)
                return value

    def _fields(self, shape: Fields, value: Any, path: DocumentPath) -> dict[str, Any]:
        if not isinstance(value, dict):
            self.mistyped.append(Fault(path, f"{_shown(value)} is no mapping"))
            return {}
        made: dict[str, Any] = {}
        for key, item in value.items():
            known = shape.known.get(key)
            if known is None:
                why = f"field `{key}` is not understood here; known: {', '.join(shape.known)}"
                self.unknown.append(Fault((*path, key), why))
            elif (decoded := self.decode(known, item, (*path, key))) is not _ABSENT:
                made[key] = decoded
        self.violations += (Fault(path, why) for why in _missing(shape, value))
        return made

    def _items(self, shape: Items, value: Any, path: DocumentPath) -> list[Any]:
        if not isinstance(value, list):
            self.mistyped.append(Fault(path, f"{_shown(value)} is no list"))
            return []
        if len(value) < shape.least or (shape.most is not None and len(value) > shape.most):
            bound = f"at least {shape.least}" if len(value) < shape.least else f"at most {shape.most}"
            self.violations.append(Fault(path, f"has {len(value)} items; the schema wants {bound}"))
        if shape.is_set and len({str(item) for item in value}) < len(value):
            self.violations.append(Fault(path, "holds one item twice; keep one"))
        decoded = (self.decode(shape.item, item, (*path, index)) for index, item in enumerate(value))
        return [_zero(shape.item) if item is _ABSENT else item for item in decoded]

    def _map(self, shape: TextMap, value: Any, path: DocumentPath) -> dict[str, Any]:
        if not isinstance(value, dict):
            self.mistyped.append(Fault(path, f"{_shown(value)} is no mapping"))
            return {}
        decoded = {key: self.decode(shape.value, item, (*path, key)) for key, item in value.items()}
        return {key: "" if item is _ABSENT else item for key, item in decoded.items()}

    def _scalar(self, shape: Shape, value: Any, path: DocumentPath) -> None:
        if not _is_of(shape, value):
            self.mistyped.append(Fault(path, f"{_shown(value)} is {_WANTED[type(shape)]}"))
        elif isinstance(shape, Text):
            self.violations += (Fault(path, f"{_shown(value)} {why}") for why in _text_violations(shape, value))
        elif isinstance(shape, NumberOrText) and isinstance(value, str):
            if shape.pattern and not _compiled(shape.pattern).search(value):
                self.violations.append(Fault(path, f"{_shown(value)} is no type that the schema knows"))
        elif isinstance(shape, Whole) and not shape.least <= value <= shape.most:
            self.violations.append(Fault(path, f"{value} is not within {shape.least} and {shape.most}"))


def decoded_specs(root: Node, decoding: Decoding) -> list[Node]:
    """`spec` and the items of `specs` of a Cilium policy, in this order."""
    body = root.value
    for key in body:
        if key not in _TOP:
            why = f"field `{key}` is not understood here; known: {', '.join(_TOP)}"
            decoding.unknown.append(Fault((key,), why))
    decoding.violations += (Fault((key,), _IS_NULL) for key in ("spec", "specs") if key in body and body[key] is None)
    specs: list[tuple[DocumentPath, Any]] = []
    if body.get("spec") is not None:
        specs.append((("spec",), body["spec"]))
    several = body.get("specs")
    if isinstance(several, list):
        specs += ((("specs", index), item) for index, item in enumerate(several))
    elif several is not None:
        decoding.mistyped.append(Fault(("specs",), f"{_shown(several)} is no list"))
    if not specs and several is None:
        decoding.violations.append(Fault((), "has neither spec nor specs"))
    decoding.mistyped += (Fault(path, "is null; leave the item out") for path, item in specs if item is None)
    present = [(path, item) for path, item in specs if item is not None]
    return [Node(root.document, path, decoding.decode(SPEC, item, path)) for path, item in present]


_WANTED: Mapping[type, str] = {
    Text: "no string",
    Whole: "no whole number",
    Flag: "neither true nor false",
    NumberOrText: "neither a number nor a name",
}


def _is_of(shape: Shape, value: Any) -> bool:
    match shape:
        case Text():
            return isinstance(value, str)
        case Flag():
            return isinstance(value, bool)
        case NumberOrText():
            return isinstance(value, str) or _is_int32(value)
        case _:
            return _is_int32(value)


def _is_int32(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -_INT32 <= value < _INT32


def _zero(shape: Shape) -> Any:
    """What Go makes of a null item."""
    return "" if isinstance(shape, Text) else {}


def _missing(shape: Fields, value: Mapping[str, Any]) -> Iterator[str]:
    for key in shape.required:
        if key not in value:
            yield f"`{key}` is missing"
    there = [key for key in shape.one_of if key in value]
    if shape.one_of and len(there) != 1:
        yield f"has {len(there)} of {', '.join(shape.one_of)}; the schema wants exactly one"
    if shape.any_of and not any(key in value for key in shape.any_of):
        yield f"has none of {', '.join(shape.any_of)}"


def _text_violations(shape: Text, value: str) -> Iterator[str]:
    if shape.one_of and value not in shape.one_of:
        yield f"is none of {', '.join(shape.one_of)}"
    if shape.longest and len(value) > shape.longest:
        yield f"is longer than {shape.longest} characters"
    elif shape.pattern and not _compiled(shape.pattern).search(value):
        yield f"does not match {shape.pattern}"
    if len(value) < shape.shortest:
        yield "is empty"
    if shape.is_range and network_of(_LEADING_ZEROS.sub("", value)) is None:
        yield "is no range; write address/length"


@lru_cache(maxsize=64)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _shown(value: Any) -> str:
    """Bounded, whatever the value: neither a deep one nor a number of a million digits is written out."""
    match value:
        case str():
            return repr(value if len(value) <= _LONGEST_SHOWN else value[:_LONGEST_SHOWN] + "...")
        case bool() | float() | None:
            return str(value)
        case int():
            return str(value) if abs(value) < 1 << 64 else "a number of many digits"
        case _:
            return "a list" if isinstance(value, list) else "a mapping"
