"""MANIFEST.json: the files of a folder with their sha256 and size. Written last, so that it means "complete".

Form: `{"files": {path: {"sha256": hex, "bytes": n}}, ...facts}`, sorted keys. Its own sha256 names the whole folder.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from trainer.contract.bucket import MANIFEST


class Incomplete(Exception):  # noqa: N818 - the state of a folder
    """The folder is not what its manifest says, or has none; the text names the file, the rule and the remedy."""


def sha256_of(path: Path) -> str:
    """Hex digest of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def seal(folder: Path, facts: Mapping[str, Any] | None = None) -> str:
    """Write the manifest of everything below `folder` and return its digest."""
    text = to_json({**(facts or {}), "files": listing(folder)})
    write_whole(folder / MANIFEST, text.encode())
    return hashlib.sha256(text.encode()).hexdigest()


def listing(folder: Path) -> dict[str, dict[str, Any]]:
    """Everything below `folder` but manifests, as a manifest lists it."""
    return {
        path.relative_to(folder).as_posix(): {"sha256": sha256_of(path), "bytes": path.stat().st_size}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }


def unlisted(folder: Path, files: Iterable[str]) -> list[str]:
    """What is below `folder` and in none of the manifest's `files`, sorted; a link to a folder too, unlooked into."""
    there = {path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()}
    return sorted({path.relative_to(folder).as_posix() for path in there} - {*files, MANIFEST})


def parse(content: bytes, *, where: str) -> dict[str, Any]:
    """A manifest as data. Raises Incomplete when it is none, or names a file outside its folder."""
    try:
        manifest = json.loads(content)
        files = manifest["files"]
        entries = [(str(name), str(entry["sha256"]), int(entry["bytes"])) for name, entry in files.items()]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Incomplete(f"{where}/{MANIFEST}: is no manifest ({error}); write the folder again") from error
    for name, _, _ in entries:
        if name.startswith("/") or ".." in Path(name).parts:
            raise Incomplete(f"{where}/{MANIFEST}: {name!r} lies outside the folder; write the folder again")
    return dict(manifest)


def verify(folder: Path, *, digest: str | None = None) -> dict[str, Any]:
    """The manifest of a folder whose every listed file is byte for byte what it says.

    digest: what the manifest's own sha256 must be. Raises Incomplete.
    """
    try:
        content = (folder / MANIFEST).read_bytes()
    except OSError as error:
        raise Incomplete(f"{folder}: has no {MANIFEST} ({error.strerror}); it was never completed") from error
    check_digest(content, digest, where=str(folder))
    manifest = parse(content, where=str(folder))
    for name, entry in manifest["files"].items():
        check_file(folder / name, entry["sha256"])
    return manifest


def check_digest(content: bytes, expected: str | None, *, where: str) -> None:
    """Raise Incomplete unless the manifest itself has the expected sha256 (None: any)."""
    found = hashlib.sha256(content).hexdigest()
    if expected is not None and found != expected:
        raise Incomplete(f"{where}/{MANIFEST}: has sha256 {found}, expected {expected}; it is another folder")


def check_file(path: Path, expected: str) -> None:
    """Raise Incomplete unless the file is there with the expected sha256."""
    if not path.is_file():
        raise Incomplete(f"{path}: is not there, but the manifest lists it; write the folder again")
    if (found := sha256_of(path)) != expected:
        raise Incomplete(f"{path}: has sha256 {found}, the manifest says {expected}; write the folder again")


def to_json(document: Mapping[str, Any]) -> str:
    """The one JSON form of our files: sorted keys, two spaces, a newline at the end."""
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a reader, even after a crash, sees the old content or the new, never a part."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable, as fsync makes a file's bytes."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
