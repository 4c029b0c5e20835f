"""What can be said of an object without a server.

Built-in kinds are held to the Kubernetes client's models, custom ones to their CRD's schema where the Go module cache
has it. Both know fields and types; CEL rules, defaults and admission only the server knows.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from kubernetes import client
from pydantic import BaseModel, ValidationError

from controlplane.binaries import cache_folder, required_version
from controlplane.crds import SOURCES, Source, crds_in
from controlplane.documents import Document, Kind, read_yaml

_TYPES: dict[str, tuple[type, ...]] = {
    "array": (list,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "object": (dict,),
    "string": (str,),
}


def model(kind: Kind) -> type[BaseModel] | None:
    """The client's model of a built-in kind; unknown fields are errors in it."""
    group, _, version = kind[0].rpartition("/")
    if group and "." in group and not group.endswith(".k8s.io"):
        return None
    stem = version[0].upper() + version[1:]
    return next((found for name in (stem, f"Core{stem}") if (found := getattr(client, f"{name}{kind[1]}", None))), None)


def faults(document: Document, kind_model: type[BaseModel]) -> list[str]:
    """What the model does not take, each with its path."""
    try:
        kind_model.model_validate(document.body)
    except ValidationError as error:
        return [f"{document.origin}: {'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
    return []


@cache
def cached_crds() -> dict[Kind, str]:
    """The CRDs of those sources that the module cache holds unpacked. No Go is needed to look."""
    return {kind: text for source in SOURCES if (folder := _unpacked(source)) for kind, text in crds_in(source, folder)}


@cache
def schema(kind: Kind) -> Mapping[str, Any]:
    """The OpenAPI schema of a kind's version, kept as JSON: megabytes of YAML take seconds to read."""
    text = cached_crds()[kind]
    kept = cache_folder("schemas") / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
    if not kept.exists():
        versions = read_yaml(text)["spec"]["versions"]
        partial = kept.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps({each["name"]: each["schema"]["openAPIV3Schema"] for each in versions}))
        partial.replace(kept)
    found: Mapping[str, Any] = json.loads(kept.read_text(encoding="utf-8"))[kind[0].rpartition("/")[2]]
    return found


def misfits(value: Any, schema: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Unknown fields, missing ones, wrong types and words that are no member of an enumeration, at any depth."""
    if value is None or schema.get("x-kubernetes-int-or-string"):
        return
    if (kind := schema.get("type")) and not _is(value, kind):
        yield f"{path}: {value!r} is no {kind}"
    elif "enum" in schema and value not in schema["enum"]:
        yield f"{path}: {value!r} is none of {', '.join(map(str, schema['enum']))}"
    elif isinstance(value, Mapping):
        yield from _fields(value, schema, path)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from misfits(item, schema.get("items", {}), f"{path}[{index}]")


def _fields(value: Mapping[str, Any], schema: Mapping[str, Any], path: str) -> Iterator[str]:
    known, others = schema.get("properties", {}), schema.get("additionalProperties")
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields") or others is True or not (known or others)
    if path == "" or schema.get("x-kubernetes-embedded-resource"):
        known = {"apiVersion": {}, "kind": {}, "metadata": {}} | known
    for name, child in value.items():
        if name in known:
            yield from misfits(child, known[name], f"{path}.{name}")
        elif isinstance(others, Mapping):
            yield from misfits(child, others, f"{path}.{name}")
        elif not open_ended:
            yield f"{path}.{name}: is no field"
    for name in schema.get("required", ()):
        if name not in value and "default" not in known.get(name, {}):
            yield f"{path}.{name}: is missing"


def _is(value: Any, kind: str) -> bool:
    return isinstance(value, _TYPES[kind]) and not (isinstance(value, bool) and kind != "boolean")


def _unpacked(source: Source) -> Path | None:
    """A module's folder in the module cache, where it is: capitals are written `!a` there."""
    gopath = os.environ.get("GOPATH") or str(Path.home() / "go")
    modules = Path(os.environ.get("GOMODCACHE") or Path(gopath.split(os.pathsep)[0]) / "pkg" / "mod")
    escaped = re.sub("[A-Z]", lambda capital: f"!{capital[0].lower()}", source.module)
    folder = modules / f"{escaped}@{required_version(source.tools, source.module)}"
    return folder if folder.is_dir() else None
