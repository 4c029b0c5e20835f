"""Metadata of the tree's objects: what makes one arrive under its name and stay.

An object that the API server refuses, that it names anew at each sync, or that the garbage collector takes away
enforces nothing, however right its rules are.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from isolation.classes.inventory import Inventory
from isolation.manifests.tree import Document
from isolation.policies.label_syntax import is_value, key_faults
from isolation.results import CounterExample, Result

_KEYS = frozenset({"annotations", "labels", "name", "namespace"})
_OF_ARGOCD = frozenset({"AppProject", "Application"})  # deleted with what they made, by a finalizer
_ROOT = frozenset({"apiVersion", "kind", "metadata"})
_ARGOCD = "argocd.argoproj.io/"  # labels of its own, by which it takes objects for others' or keeps settings
# What isolates: kind -> keys at the root beside _ROOT.
_ISOLATING: Mapping[str, frozenset[str]] = {
    "CiliumClusterwideNetworkPolicy": frozenset({"spec", "specs"}),
    "CiliumNetworkPolicy": frozenset({"spec", "specs"}),
    "Namespace": frozenset(),
    "NetworkPolicy": frozenset({"spec"}),
    "ServiceAccount": frozenset({"automountServiceAccountToken"}),
}
# Kubernetes 1.36, apimachinery/pkg/util/validation and api/validation: names by kind, in bytes and letters.
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(rf"{_LABEL.pattern}(\.{_LABEL.pattern})*")
_SEGMENT = re.compile(r"(?!\.{1,2}$)[^/%]+")
_LONGEST_LABEL, _LONGEST_NAME, _LONGEST_ANNOTATIONS = 63, 253, 256 << 10
_LABELLED = frozenset({"Namespace", "Service"})
_OF_RIGHTS = frozenset({"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"})


def object_metadata(inventory: Inventory) -> Result:
    """Every object: a name, labels and annotations that the API server takes, and no owner, finalizer or made name."""
    documents = inventory.tree.documents
    faults = tuple(CounterExample(each.file, fault) for each in documents for fault in _faults(each))
    return Result("object-metadata", "the API server takes each object, and nothing removes it", len(documents), faults)


def _faults(document: Document) -> Iterator[str]:
    metadata = document.body.get("metadata")
    if not isinstance(metadata, dict):
        yield "has no metadata, so that it has no name"
        return
    known = _KEYS | {"finalizers"} if document.kind in _OF_ARGOCD else _KEYS
    yield from (f"metadata.{key} is none of {', '.join(sorted(known))}" for key in metadata if key not in known)
    yield from _name_faults(document.kind, metadata)
    labels, annotations = metadata.get("labels", {}), metadata.get("annotations", {})
    for what, found in (("labels", labels), ("annotations", annotations)):
        if not isinstance(found, dict):
            yield f"metadata.{what} is no mapping"
            return
    yield from _label_faults(labels)
    yield from _annotation_faults(annotations)
    if document.kind in _ISOLATING:
        roots = _ROOT | _ISOLATING[document.kind]
        yield from (f"{key} is none of {', '.join(sorted(roots))}" for key in document.body if key not in roots)


def _name_faults(kind: str, metadata: Mapping[str, Any]) -> Iterator[str]:
    name, namespace = metadata.get("name"), metadata.get("namespace", "default")
    longest = _LONGEST_LABEL if kind in _LABELLED else _LONGEST_NAME
    syntax = _LABEL if kind in _LABELLED else _SEGMENT if kind in _OF_RIGHTS else _SUBDOMAIN
    if not isinstance(name, str) or len(name) > longest or not syntax.fullmatch(name):
        yield f"metadata.name {name!r} is no name of a {kind}; at most {longest} lower-case letters, digits and `-`"
    if not isinstance(namespace, str) or len(namespace) > _LONGEST_LABEL or not _LABEL.fullmatch(namespace):
        yield f"metadata.namespace {namespace!r} is no name of a namespace"


def _label_faults(labels: Mapping[Any, Any]) -> Iterator[str]:
    for key, value in labels.items():
        yield from (f"label {key!r} {why}" for why in _key_faults(key))
        if str(key).startswith(_ARGOCD):
            yield f"label {key!r} is Argo CD's own"
        if not isinstance(value, str) or not is_value(value):
            yield f"label {key!r} has {value!r}, which is no word of at most {_LONGEST_LABEL} characters; quote numbers"


def _annotation_faults(annotations: Mapping[Any, Any]) -> Iterator[str]:
    for key, value in annotations.items():
        yield from (f"annotation {key!r} {why}" for why in _key_faults(key))
        if not isinstance(value, str):
            yield f"annotation {key!r} has {value!r}, which is no text; quote it"
    if sum(len(str(text).encode()) for pair in annotations.items() for text in pair) > _LONGEST_ANNOTATIONS:
        yield f"annotations are longer than {_LONGEST_ANNOTATIONS} bytes together"


def _key_faults(key: Any) -> Iterator[str]:
    """Of Kubernetes' own keys, before which no source stands as in Cilium's selectors."""
    if not isinstance(key, str):
        yield "is no text; quote it"
    elif ":" in key:
        yield "holds a colon"
    else:
        yield from key_faults(key)
