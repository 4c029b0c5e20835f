"""Files and folders by URL: `s3://bucket/key` (objects.py), or a local path.

A folder is written with its MANIFEST.json last and read by its MANIFEST.json first.
"""

import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from trainer.contract.bucket import MANIFEST
from trainer.objects import SCHEME, Bucket, NotThere
from trainer.outcomes import BadInput, Unavailable
from trainer.publishing import manifest

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")  # S3's own rule
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")


class Place(Protocol):
    """Where bytes are; keys are relative paths with `/`."""

    def read(self, key: str) -> bytes | None: ...
    def write(self, key: str, content: bytes) -> None: ...
    def download(self, key: str, to: Path, *, most: int | None = None) -> None: ...
    def upload(self, path: Path, key: str) -> None: ...
    def folders(self, key: str) -> list[str]: ...
    def size(self, key: str) -> int: ...
    def remove(self, key: str) -> None: ...


def is_remote(url: str) -> bool:
    return url.startswith(SCHEME)


def read(url: str) -> bytes | None:
    """Content of a file, None when it is not there. Raises Unavailable."""
    place, key = _at(url)
    return place.read(key)


def write(url: str, content: bytes) -> None:
    """Write a small file as a whole. Raises Unavailable."""
    place, key = _at(url)
    place.write(key, content)


def fetch_file(url: str, folder: Path, *, most_bytes: int | None = None) -> Path:
    """A local path with the content of `url`: the file itself, or a copy of the object in `folder`.

    most_bytes: of a larger object nothing is read. Raises BadInput when it is not there, too large or may not be read,
    Unavailable when the store does not answer.
    """
    if not url or _UNPRINTABLE.search(url):
        raise BadInput(f"{url!r}: is no path of a file; give the path of one or an s3:// URL")
    if not is_remote(url):
        if not Path(url).is_file():
            raise BadInput(f"{url}: is no file here; give the path of one or an s3:// URL")
        return Path(url)
    place, key = _at(url)
    to = folder / Path(key).name
    folder.mkdir(parents=True, exist_ok=True)
    place.download(key, to, most=most_bytes)
    return to


def fetch_folder(url: str, folder: Path, *, digest: str | None = None, only: Iterable[str] | None = None) -> Path:
    """A local folder that was verified against its manifest: the folder itself, or a copy below `folder`.

    digest: sha256 its MANIFEST.json must have. only: the files that are wanted, where they are listed.
    Files already there with the right content are not fetched again. Raises manifest.Incomplete and Unavailable.
    """
    content = read(f"{url}/{MANIFEST}")
    if content is None:
        raise manifest.Incomplete(f"{url}: has no {MANIFEST}; it is no complete folder")
    manifest.check_digest(content, digest, where=url)
    files = manifest.parse(content, where=url)["files"]
    wanted = [name for name in files if only is None or name in set(only)]
    target = folder if is_remote(url) else Path(url)
    for name in wanted:
        if is_remote(url) and not _has(target / name, files[name]["sha256"]):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            _download_listed(f"{url}/{name}", target / name)
        manifest.check_file(target / name, files[name]["sha256"])
    if is_remote(url) and read(str(target / MANIFEST)) != content:
        manifest.write_whole(target / MANIFEST, content)
    return target


def _download_listed(url: str, to: Path) -> None:
    place, key = _at(url)
    try:
        place.download(key, to)
    except NotThere as error:
        raise manifest.Incomplete(f"{url}: is not there, but the manifest lists it; write the folder again") from error


def store_file(path: Path, url: str) -> None:
    """Copy one file to `url`. Raises Unavailable."""
    place, key = _at(url)
    place.upload(path, key)


def store_folder(folder: Path, url: str) -> None:
    """Copy a sealed folder, its manifest last; what is there with that manifest already is left. Raises Unavailable."""
    content = (folder / MANIFEST).read_bytes()
    if read(f"{url}/{MANIFEST}") == content:
        return
    for name in manifest.parse(content, where=str(folder))["files"]:
        store_file(folder / name, f"{url}/{name}")
    write(f"{url}/{MANIFEST}", content)


def is_complete(url: str) -> bool:
    """Whether the folder has its manifest. Raises Unavailable."""
    return read(f"{url}/{MANIFEST}") is not None


def folders(url: str) -> list[str]:
    """Names of the folders directly below `url`, sorted. Raises Unavailable."""
    place, key = _at(url)
    return sorted(place.folders(key))


def stored_bytes(url: str) -> int:
    """Bytes of all files below `url`; 0 when there is nothing. Raises Unavailable."""
    place, key = _at(url)
    return place.size(key)


def remove_folder(url: str) -> None:
    """Remove a folder, its manifest first, so that no half of it looks complete. Raises Unavailable."""
    place, key = _at(url)
    place.remove(f"{key}/{MANIFEST}")
    place.remove(f"{key}/")


def _has(path: Path, digest: str) -> bool:
    return path.is_file() and manifest.sha256_of(path) == digest


def _at(url: str) -> tuple[Place, str]:
    """Raises BadInput for a URL that names no bucket."""
    if not is_remote(url):
        return _Disk(), url
    bucket, _, key = url.removeprefix(SCHEME).partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise BadInput(f"{url}: {bucket!r} is no name of a bucket; write s3://bucket/key")
    return Bucket(bucket), key


class _Disk:
    """Local paths. Raises Unavailable when the disk refuses (full, read only)."""

    def read(self, key: str) -> bytes | None:
        try:
            return Path(key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write(self, key: str, content: bytes) -> None:
        with _disk(key):
            Path(key).parent.mkdir(parents=True, exist_ok=True)
            manifest.write_whole(Path(key), content)

    def download(self, key: str, to: Path, *, most: int | None = None) -> None:
        del most  # local files are read where they are; their readers know the bound
        with _disk(str(to)):
            shutil.copyfile(key, to)

    def upload(self, path: Path, key: str) -> None:
        with _disk(key):
            Path(key).parent.mkdir(parents=True, exist_ok=True)
            partial = Path(key + ".partial")
            shutil.copyfile(path, partial)
            partial.replace(key)

    def folders(self, key: str) -> list[str]:
        return [entry.name for entry in Path(key).iterdir() if entry.is_dir()] if Path(key).is_dir() else []

    def size(self, key: str) -> int:
        return sum(path.stat().st_size for path in Path(key).rglob("*") if path.is_file())

    def remove(self, key: str) -> None:
        if key.endswith("/"):
            shutil.rmtree(key, ignore_errors=True)
        else:
            Path(key).unlink(missing_ok=True)


@contextmanager
def _disk(where: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(f"{where}: cannot be written ({error.strerror}); free the disk or mend the path") from error
