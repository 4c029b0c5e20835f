"""Where the documents of the tenant directory are: files of a folder, or ConfigMaps of a namespace."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from app.contract.directory import DIRECTORY_KEY, directory_name
from app.mirror import Mirror

FIRST_LIST_SECONDS = 30.0


class SourceUnavailable(Exception):  # noqa: N818 - the name is the fact
    """The documents cannot be read now; the text says from where, and the remedy."""


@dataclass(frozen=True)
class Document:
    """One of them. name: of its tenant, or the platform's; place: how it is told of in a fault."""

    name: str
    place: str
    text: bytes


class Source(Protocol):
    """stamp: changes whenever a document does. Both raise SourceUnavailable."""

    def stamp(self) -> object: ...

    def documents(self) -> Sequence[Document]: ...

    def close(self) -> None: ...


class Folder:
    """`<tenant>.json` each, and `platform.json`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __str__(self) -> str:
        return str(self._path)

    def stamp(self) -> object:
        try:
            return tuple((path.name, (stat := path.stat()).st_mtime_ns, stat.st_size) for path in self._paths())
        except OSError as error:
            raise self._unavailable(error) from error

    def documents(self) -> Sequence[Document]:
        try:
            return [Document(path.stem, path.name, path.read_bytes()) for path in self._paths()]
        except OSError as error:
            raise self._unavailable(error) from error

    def close(self) -> None:
        """Nothing is held."""

    def _paths(self) -> Iterator[Path]:
        yield from sorted(path for path in self._path.iterdir() if path.suffix == ".json")

    def _unavailable(self, error: OSError) -> SourceUnavailable:
        text = f"{self._path}: cannot be read ({error.strerror}); run `tenon render` and look again"
        return SourceUnavailable(text)


class ConfigMaps:
    """Those of a namespace that carry a label, whose value is the name; followed, so that a look costs no request.

    What was read stays known while the API server is away.
    """

    def __init__(
        self, follow: Callable[[Callable[[dict[str, Any]], Document]], Mirror[Document]], *, place: str
    ) -> None:
        """follow: makes the mirror of them. Raises SourceUnavailable when there is no first list."""
        self._place = place
        self._mirror = follow(self._document)
        if not self._mirror.wait(self._is_listed, seconds=FIRST_LIST_SECONDS):
            self._mirror.close()
            text = f"{place}: the API server gave no list in {FIRST_LIST_SECONDS:.0f} s; see its log and our Role"
            raise SourceUnavailable(text)

    def __str__(self) -> str:
        return self._place

    def stamp(self) -> object:
        return frozenset(self._mirror.all())

    def documents(self) -> Sequence[Document]:
        return sorted(self._mirror.all(), key=lambda document: document.name)

    def close(self) -> None:
        self._mirror.close()

    def _is_listed(self) -> bool:
        return self._mirror.seconds_stale() is not None

    def _document(self, body: dict[str, Any]) -> Document:
        """The name of the object tells whose it is; what it holds must agree, which the directory checks."""
        name = str(body["metadata"]["name"])
        of = name.removeprefix(directory_name(""))
        return Document(of, f"ConfigMap {name}", str((body.get("data") or {}).get(DIRECTORY_KEY, "")).encode())
