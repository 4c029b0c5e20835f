"""Everything in a tree that is refused, where a proof ends at the first: file by file, as far as a file shows it."""

import os
from collections.abc import Iterator
from pathlib import Path

from isolation.classes.pod_classes import CLUSTER
from isolation.manifests.files import MAX_FILE_BYTES
from isolation.manifests.one_object import check_text, the_object
from isolation.manifests.reading import read_documents
from isolation.manifests.refusals import Refused
from isolation.manifests.tree import Document
from isolation.policies.parsing import POLICY_KINDS, parse_policy

MOST = 50  # refusals; whoever has more has one cause


def refusals_of(folder: Path, first: Refused) -> tuple[Refused, ...]:
    """first: what ended the proof; it stands first and is not repeated."""
    found = {str(first): first}
    for refused in _each(folder):
        found.setdefault(str(refused), refused)
        if len(found) == MOST:
            break
    return tuple(found.values())


def _each(folder: Path) -> Iterator[Refused]:
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for path in (Path(parent) / name for name in sorted(names) if name.endswith(".yaml")):
            try:
                _read(path)
            except Refused as refused:
                yield refused
            except (OSError, UnicodeDecodeError):
                continue  # what cannot be read ended the proof already, by its own refusal


def _read(path: Path) -> None:
    if path.is_symlink() or not path.is_file() or path.stat().st_size > MAX_FILE_BYTES:
        return  # a pipe would be waited for without end
    where = path.as_posix()
    text = path.read_bytes().decode("utf-8")  # as it stands: reading text would turn a carriage return into a line feed
    check_text(text, where=where)
    body, lines = the_object(list(read_documents(text, where=where)), where=where)
    document = Document(where, body, lines)
    if document.kind in POLICY_KINDS:
        parse_policy(document, cluster=CLUSTER)
