"""What stands below tenants/ and is not read: a person takes it for an input, and it would be passed over."""

import os
from collections.abc import Iterator
from pathlib import Path

from generators.inputs.reading import Document

FOLDER, MODELS, ENDING = "tenants", "models", ".yaml"
KNOWN = frozenset({"README.md", "schema"})
_ALMOST = (".yml", ".yaml", ".json")  # in any case of letters


def refuse_strays(root: Path) -> list[Document]:
    """A document with its fault for each of them. Hidden files are an editor's or the system's own."""
    found = []
    for path, fault in _below(root / FOLDER):
        document = Document(path.relative_to(root).as_posix())
        document.refuse((), fault)
        found.append(document)
    return found


def _below(folder: Path) -> Iterator[tuple[Path, str]]:
    names, fault = _listed(folder)
    if fault:
        yield folder, fault
    for path in names:
        if path.name in KNOWN or _is_input(path):
            continue
        if not path.is_dir():
            yield path, _remedy(path, "a tenant is one file of this folder")
            continue
        if not (folder / f"{path.name}{ENDING}").exists() and (path / MODELS).is_dir():
            text = f"{FOLDER}/{path.name}{ENDING} is not there; remove the folder or restore the tenant"
            yield path / MODELS, text
        yield from _of_tenant(path)


def _of_tenant(folder: Path) -> Iterator[tuple[Path, str]]:
    names, fault = _listed(folder)
    if fault:
        yield folder, fault
    for path in names:
        if path.name in KNOWN:
            continue
        if path.name != MODELS or not path.is_dir():
            yield path, f"is not read; model records stand in {FOLDER}/{folder.name}/{MODELS}/<model>{ENDING}"
            continue
        records, fault = _listed(path)
        if fault:
            yield path, fault
        for record in records:
            if record.name not in KNOWN and not _is_input(record):
                yield record, _remedy(record, "a model record is one file of this folder")


def _listed(folder: Path) -> tuple[list[Path], str]:
    """What a person put there, sorted, and why it could not be listed."""
    try:
        names = sorted(entry.name for entry in os.scandir(folder))
    except FileNotFoundError:
        return [], ""  # said of the inputs as a whole
    except OSError as error:
        return [], f"cannot be read ({error.strerror}); it has to be a folder that can be"
    return [folder / name for name in names if not name.startswith(".") or name.lower().endswith(_ALMOST)], ""


def _is_input(path: Path) -> bool:
    return path.suffix == ENDING  # one that is no file is said where it is read


def _remedy(path: Path, rule: str) -> str:
    if path.suffix.lower() in _ALMOST:
        return f"is not read; rename it to {path.stem}{ENDING}"
    return f"is not read, because {rule}; move it elsewhere"
