"""A rendered tree: documents, where they came from, and copies of the tree with one object changed."""

import copy
import os
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from isolation.manifests.one_object import check_text, the_object
from isolation.manifests.reading import DocumentPath
from isolation.manifests.refusals import Refused
from isolation.manifests.templates import Templates

MAX_FILE_BYTES = 1 << 20
MAX_FILES = 200_000

_RENDERED_NAME = re.compile(r"[a-z0-9.-]+_[a-z0-9]+_[A-Za-z0-9.:_-]+\.yaml")
_IS_A_LINK = "is a symbolic link; a rendered tree holds folders and files only"
_SKIPPED = "+argocd:skip-file-rendering"  # argo-cd 3.5, reposerver/repository: a file that holds it is not applied


@dataclass(frozen=True, eq=False)
class Document:
    """One object. `lines` gives the line (from 1) of a path inside it; a changed copy keeps the lines it came from.

    place: the file's path from the tree's root, as parts.
    """

    file: str
    body: dict[str, Any]
    lines: dict[DocumentPath, int]
    place: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        return str(self.body.get("kind", ""))

    @property
    def name(self) -> str:
        return str(self._metadata.get("name", ""))

    @property
    def namespace(self) -> str | None:
        """None for an object of the whole cluster."""
        namespace = self._metadata.get("namespace")
        return None if namespace is None else str(namespace)

    @property
    def labels(self) -> dict[str, str]:
        return {str(key): str(value) for key, value in (self._metadata.get("labels") or {}).items()}

    @property
    def _metadata(self) -> dict[str, Any]:
        metadata = self.body.get("metadata")
        return metadata if isinstance(metadata, dict) else {}

    def line(self, path: DocumentPath) -> int:
        """Line of the path, or of its nearest ancestor that has one."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


@dataclass(frozen=True, eq=False)
class Tree:
    """All documents below one folder, sorted by file."""

    documents: tuple[Document, ...]

    @cached_property
    def by_kind(self) -> dict[str, list[Document]]:
        found: dict[str, list[Document]] = {}
        for document in self.documents:
            found.setdefault(document.kind, []).append(document)
        return found

    @cached_property
    def by_folder(self) -> dict[tuple[str, ...], list[Document]]:
        """Documents by the first three parts of their place: tenants, whose, foundation, workloads or delivery."""
        found: dict[tuple[str, ...], list[Document]] = {}
        for document in self.documents:
            found.setdefault(document.place[:3], []).append(document)
        return found

    def of_kind(self, *kinds: str) -> Iterator[Document]:
        for kind in kinds:
            yield from self.by_kind.get(kind, ())

    def one(self, kind: str, namespace: str | None, name: str) -> Document:
        """The one such object; LookupError when there is none or there are two."""
        found = [d for d in self.by_kind.get(kind, ()) if d.namespace == namespace and d.name == name]
        if len(found) != 1:
            raise LookupError(f"{kind} {namespace or ''}/{name}: {len(found)} in the tree, exactly one is expected")
        return found[0]

    def without(self, gone: Document) -> "Tree":
        """The tree as it would be if this object were not rendered."""
        return Tree(tuple(document for document in self.documents if document is not gone))

    def changed(self, document: Document, change: Callable[[dict[str, Any]], object]) -> "Tree":
        """The tree with `change` made to a copy of one object's body."""
        body = copy.deepcopy(document.body)
        change(body)
        made = replace(document, body=body)
        return Tree(tuple(made if other is document else other for other in self.documents))


def read_tree(folder: Path, *, only: Collection[str] = (), kinds: Collection[str] = ()) -> Tree:
    """Every object below the folder. Raises Refused for what cannot be read for certain.

    only: tenants of whom everything is read; of other tenants only files that are named after one of `kinds`.
    What Argo CD would load, or load differently, and we would pass over, is an object that nobody judged: each file has
    the name that rendering gives it, and nothing is a link.
    """
    root = folder.as_posix()
    try:
        places = sorted(tuple(path[len(root) + 1 :].split("/")) for path in _files(folder))
    except OSError as error:
        raise _unreadable(error) from None
    if not places:
        raise Refused(where=str(folder), at="", why="holds no rendered file; run `tenon render` first")
    if len(places) > MAX_FILES:
        raise Refused(where=str(folder), at="", why=f"{len(places)} files are more than {MAX_FILES}; prove a part")
    if only:
        named = {kind.lower() for kind in kinds}
        places = [each for each in places if _tenant(each) in {None, *only} or each[-1].split("_")[1] in named]
    templates = Templates()
    return Tree(tuple(_document(root, place, templates) for place in places))


def _files(folder: Path) -> Iterator[str]:
    """Every file below. Raises OSError for a folder that cannot be listed, where `rglob` would go on without it."""
    if folder.is_symlink():
        raise Refused(where=folder.as_posix(), at="", why=_IS_A_LINK)
    left = [folder.as_posix()]
    while left:
        with os.scandir(left.pop()) as entries:
            for entry in entries:
                if entry.is_symlink():
                    raise Refused(where=entry.path, at="", why=_IS_A_LINK)
                if entry.is_dir(follow_symlinks=False):
                    left.append(entry.path)
                elif entry.is_file(follow_symlinks=False) and _RENDERED_NAME.fullmatch(entry.name):
                    yield entry.path
                else:
                    why = "is no file `<group>_<kind>_<name>.yaml`, and Argo CD may load it all the same; remove it"
                    raise Refused(where=entry.path, at="", why=why)


def _document(root: str, place: tuple[str, ...], templates: Templates) -> Document:
    name = "/".join((root, *place))
    text = _text(name)
    if _SKIPPED in text:
        raise Refused(where=name, at="", why=f"holds {_SKIPPED}, so Argo CD passes it over; render again")
    check_text(text, where=name)
    body, lines = the_object(templates.documents(text, where=name, tenant=_tenant(place)), where=name)
    document = Document(name, body, lines, place)
    group = body["apiVersion"].rpartition("/")[0] or "core"
    if not place[-1].startswith(f"{group}_{document.kind.lower()}_"):
        why = f"holds a {document.kind} of group {group}, which its name does not say; render again"
        raise Refused(where=name, at="kind", why=why)
    return document


def _tenant(place: tuple[str, ...]) -> str | None:
    return place[1] if place[0] == "tenants" and len(place) > 1 else None


def _text(name: str) -> str:
    """What the file holds; never more than the bound is read of it."""
    try:
        with open(name, "rb") as file:  # noqa: PTH123 - a Path for each of many files costs as much as reading it
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise _unreadable(error) from None
    if len(data) > MAX_FILE_BYTES:
        raise Refused(where=name, at="", why=f"is larger than {MAX_FILE_BYTES} bytes; one object per file")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Refused(where=f"{name}:{line}", at="", why=f"is no UTF-8 text ({error.reason})") from error


def _unreadable(error: OSError) -> Refused:
    return Refused(where=str(error.filename), at="", why=f"cannot be read ({error.strerror}); mend it and prove again")
