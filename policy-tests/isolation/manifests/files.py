"""The files of a rendered tree: where each stands, and what it holds.

What Argo CD would load, or load differently, and we would pass over, is an object that nobody judged: each file has the
name that rendering gives it, and nothing is a link.
"""

import os
import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from isolation.manifests.refusals import Refused

MAX_FILE_BYTES = 1 << 20

Place = tuple[str, ...]  # a file's path from the tree's root, as parts


class File(NamedTuple):
    """One file that was read. name: its path as the caller gave the tree's."""

    place: Place
    name: str
    text: str


_RENDERED_NAME = re.compile(r"[a-z0-9.-]+_[a-z0-9]+_[A-Za-z0-9.:_-]+\.yaml")
_IS_A_LINK = "is a symbolic link; a rendered tree holds folders and files only"
_AT_ONCE = 1 << 14  # bytes; more than nearly every file holds, and little to set aside for each


def places_below(folder: Path) -> list[Place]:
    """Of every file. Raises Refused, also for a folder that cannot be listed, where `rglob` would go on without it."""
    if folder.is_symlink():
        raise Refused(where=folder.as_posix(), at="", why=_IS_A_LINK)
    found: list[Place] = []
    left: list[Place] = [()]
    try:
        while left:
            place = left.pop()
            with os.scandir("/".join((folder.as_posix(), *place))) as entries:
                for entry in entries:
                    (left if _is_folder(entry) else found).append((*place, entry.name))
    except OSError as error:
        raise _unreadable(error) from None
    return found


def files_at(folder: Path, places: Iterable[Place]) -> Iterator[File]:
    """Raises Refused for a file that is too large or no text."""
    for parts, inside in groupby(places, key=lambda place: place[:-1]):
        parent = "/".join((folder.as_posix(), *parts))
        try:
            opened = os.open(parent, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise _unreadable(error) from None
        try:
            for place in inside:  # opened by its folder, so that the system does not walk the path to each
                name = f"{parent}/{place[-1]}"
                yield File(place, name, _text(name, _data(place[-1], name, folder=opened)))
        finally:
            os.close(opened)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Raises Refused for what is neither a folder nor a file of a rendered name."""
    if entry.is_symlink():
        raise Refused(where=entry.path, at="", why=_IS_A_LINK)
    if entry.is_dir(follow_symlinks=False):
        return True
    if entry.is_file(follow_symlinks=False) and _RENDERED_NAME.fullmatch(entry.name):
        return False
    why = "is no file `<group>_<kind>_<name>.yaml`, and Argo CD may load it all the same; remove it"
    raise Refused(where=entry.path, at="", why=why)


def _data(base: str, name: str, *, folder: int) -> bytes:
    """What the file holds; never more than the bound is read of it."""
    try:
        file = os.open(base, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder)
        try:
            data = read = os.read(file, _AT_ONCE)
            while read and len(data) <= MAX_FILE_BYTES:
                data += (read := os.read(file, _AT_ONCE))
        finally:
            os.close(file)
    except OSError as error:
        raise Refused(where=name, at="", why=_why_unreadable(error)) from None
    if len(data) > MAX_FILE_BYTES:
        raise Refused(where=name, at="", why=f"is larger than {MAX_FILE_BYTES} bytes; one object per file")
    return data


def _text(name: str, data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Refused(where=f"{name}:{line}", at="", why=f"is no UTF-8 text ({error.reason})") from error


def _unreadable(error: OSError) -> Refused:
    return Refused(where=str(error.filename), at="", why=_why_unreadable(error))


def _why_unreadable(error: OSError) -> str:
    return f"cannot be read ({error.strerror}); mend it and prove again"
