"""Objects as the text they stand in: the server reads that text, never a second writing of it.

The server's YAML is 1.1-like (`y` is a boolean) and refuses doubled keys; parsing and writing again would hide both.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

Kind = tuple[str, str]  # apiVersion, kind

try:
    from yaml import CSafeLoader as Loader
except ImportError:  # PyYAML without its C part
    from yaml import SafeLoader as Loader  # type: ignore[assignment]


def read_yaml(text: str) -> Any:
    """One document, by the fast reader where PyYAML has it."""
    return yaml.load(text, Loader=Loader)


@dataclass(frozen=True)
class Document:
    """One object; `origin` says where it stands, for messages."""

    origin: str
    text: str

    @cached_property
    def body(self) -> dict[str, Any]:
        body = read_yaml(self.text)
        if not isinstance(body, dict):
            raise TypeError(f"{self.origin}: holds no object")
        return body

    @property
    def kind(self) -> Kind:
        return self.body["apiVersion"], self.body["kind"]

    @property
    def name(self) -> str:
        return str(self.body["metadata"]["name"])

    @property
    def namespace(self) -> str | None:
        namespace: str | None = self.body["metadata"].get("namespace")
        return namespace


def document(body: dict[str, Any], origin: str = "a test") -> Document:
    """An object that a test makes."""
    return Document(origin, yaml.safe_dump(body, sort_keys=False))


def read_documents(folder: Path) -> list[Document]:
    """Every object below a folder of a rendered tree, one per file, in path order."""
    return [
        Document(path.relative_to(folder).as_posix(), path.read_text(encoding="utf-8"))
        for path in sorted(folder.rglob("*.yaml"))
    ]
