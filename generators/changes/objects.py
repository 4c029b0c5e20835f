"""Objects added, changed and removed between two trees of rendered/; the other sections read them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

Files = Mapping[str, bytes]  # `<cluster>/tenants/<id>/…` or `<cluster>/platform/…` -> content
Body = dict[str, Any]
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class NoObjectError(Exception):
    """A file of a rendered tree holds no Kubernetes object."""


@dataclass(frozen=True)
class Section:
    """One table of the comment. `columns` are the keys of the JSON form too; the first names whom a row is about."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]

    @property
    def document(self) -> list[dict[str, object]]:
        """The rows for machines."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


@dataclass(frozen=True)
class Change:
    """One file that is not the same in both trees; `before` and `after` are its object, None where it is not there."""

    path: str
    before: Body | None
    after: Body | None

    @property
    def word(self) -> str:
        return "added" if self.before is None else "removed" if self.after is None else "changed"

    @property
    def owner(self) -> str:
        return owner_of(self.path)

    @property
    def body(self) -> Body:
        """As it is, or as it was."""
        found = self.after if self.after is not None else self.before
        return found or {}


def owner_of(path: str) -> str:
    """`eu1/acme` for a file of a tenant, `eu1/platform` for the rest."""
    cluster, part, *rest = path.split("/")
    return f"{cluster}/{rest[0]}" if part == "tenants" and rest else f"{cluster}/platform"


def body_of(path: str, content: bytes) -> Body:
    """The one object of a file. Raises NoObjectError."""
    try:
        body = yaml.load(content, Loader=_Loader)  # noqa: S506 - a safe loader, libyaml's where it is there
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise NoObjectError(f"{path}: is not YAML ({str(error).splitlines()[0]}); render again") from None
    if not (isinstance(body, dict) and isinstance(body.get("kind"), str) and isinstance(body.get("metadata"), dict)):
        raise NoObjectError(f"{path}: holds no Kubernetes object; render again")
    return body


def shown(body: Body) -> str:
    """`Rollout acme-serve/replies`; a cluster-scoped object has no namespace."""
    metadata = body["metadata"]
    place = f"{metadata['namespace']}/" if metadata.get("namespace") else ""
    return f"{body['kind']} {place}{metadata.get('name', '')}"


def by_owner(files: Files) -> dict[str, dict[str, bytes]]:
    """The files of each owner."""
    found: dict[str, dict[str, bytes]] = {}
    for path, content in files.items():
        found.setdefault(owner_of(path), {})[path] = content
    return found


def compare(base: Files, head: Files) -> tuple[Change, ...]:
    """Every file that differs, by path; files that are the same are not even read as YAML. Raises NoObjectError."""
    paths = sorted(path for path in base.keys() | head.keys() if base.get(path) != head.get(path))
    return tuple(Change(path, _read(path, base), _read(path, head)) for path in paths)


def counts(changes: Iterable[Change]) -> str:
    """`3 added, 1 changed, 0 removed`."""
    found = Counter(change.word for change in changes)
    return ", ".join(f"{found[word]} {word}" for word in ("added", "changed", "removed"))


def object_changes(changes: tuple[Change, ...]) -> Section:
    """Objects per tenant; of a changed one, the fields that changed."""
    rows = tuple((change.owner, change.word, shown(change.body), _fields(change)) for change in changes)
    return Section("objects", f"Objects: {counts(changes)}", ("tenant", "change", "object", "fields"), rows)


def _read(path: str, files: Files) -> Body | None:
    return body_of(path, files[path]) if path in files else None


_MOST_FIELDS = 4  # that a row names; the file's own diff has all


def _fields(change: Change) -> str:
    if change.before is None or change.after is None:
        return ""
    found = list(_differing(change.before, change.after, ""))
    more = f" and {len(found) - _MOST_FIELDS} more" if len(found) > _MOST_FIELDS else ""
    return ", ".join(found[:_MOST_FIELDS]) + more if found else "comment"


def _differing(before: Any, after: Any, path: str) -> Iterator[str]:
    """Paths of the smallest mappings' keys that differ; a list counts as one value."""
    if not (isinstance(before, dict) and isinstance(after, dict)):
        if before != after:
            yield path
        return
    for key in sorted(before.keys() | after.keys(), key=str):
        yield from _differing(before.get(key), after.get(key), f"{path}.{key}" if path else str(key))
