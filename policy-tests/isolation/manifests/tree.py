"""A rendered tree: documents, where they came from, and copies of the tree with one object changed."""

import copy
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from isolation.manifests.files import File, Place, files_at, places_below
from isolation.manifests.one_object import check_text, the_object
from isolation.manifests.reading import DocumentPath
from isolation.manifests.refusals import Refused
from isolation.manifests.samples import Sample, Samples
from isolation.manifests.templates import Template, Templates

MAX_FILES = 200_000

_SKIPPED = "+argocd:skip-file-rendering"  # argo-cd 3.5, reposerver/repository: a file that holds it is not applied


@dataclass(frozen=True, eq=False)
class Document:
    """One object. `lines` gives the line (from 1) of a path inside it; a changed copy keeps the lines it came from.

    place: the file's path from the tree's root, as parts. template: what the body was made of, with the id of the
    tenant in whose folder it stands and nothing else; a changed copy has none.
    """

    file: str
    body: dict[str, Any]
    lines: dict[DocumentPath, int]
    place: Place = ()
    template: Template | None = field(default=None, init=False)

    def made_of(self, template: Template) -> Self:
        """The same, before anybody else holds it."""
        object.__setattr__(self, "template", template)
        return self

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
    """
    places = places_below(folder)
    if not places:
        raise Refused(where=str(folder), at="", why="holds no rendered file; run `tenon render` first")
    if len(places) > MAX_FILES:
        raise Refused(where=str(folder), at="", why=f"{len(places)} files are more than {MAX_FILES}; prove a part")
    if only:
        whole, named = {None, *only}, {kind.lower() for kind in kinds}
        places = [each for each in places if _tenant(each) in whole or each[-1].split("_")[1] in named]
    read = _Reader()
    return Tree(tuple(map(read.document, files_at(folder, sorted(places)))))


class _Reader:
    """What a tree's files were read as so far."""

    def __init__(self) -> None:
        self._templates = Templates()
        self._samples = Samples()

    def document(self, file: File) -> Document:
        """Raises Refused."""
        if _SKIPPED in file.text:
            why = f"holds {_SKIPPED}, so Argo CD passes it over; render again"
            raise Refused(where=file.name, at="", why=why)
        tenant = _tenant(file.place)
        sample = None if tenant is None else self._samples.like(file.text, tenant)
        if tenant is None or sample is None or not file.place[-1].startswith(sample.begins):
            return self._checked(file, tenant)
        body, lines = sample.template.of(tenant)
        return Document(file.name, body, lines, file.place).made_of(sample.template)

    def _checked(self, file: File, tenant: str | None) -> Document:
        """Of a file that is not like one before."""
        check_text(file.text, where=file.name)
        read, template = self._templates.read(file.text, where=file.name, tenant=tenant)
        body, lines = the_object(read, where=file.name)
        document = Document(file.name, body, lines, file.place)
        group = body["apiVersion"].rpartition("/")[0] or "core"
        begins = f"{group}_{document.kind.lower()}_"
        if not file.place[-1].startswith(begins):
            why = f"holds a {document.kind} of group {group}, which its name does not say; render again"
            raise Refused(where=file.name, at="kind", why=why)
        if tenant is None or template is None:
            return document
        self._samples.keep(file.text, tenant, Sample(template, begins))
        return document.made_of(template)


def _tenant(place: Place) -> str | None:
    return place[1] if place[0] == "tenants" and len(place) > 1 else None
