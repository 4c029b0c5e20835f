"""Reads the tenant directory (app/contract/directory.py) from a folder and follows its changes.

A folder: `<tenant>.json` each and `platform.json`. What was read once stays in force until a faultless newer state is
there, so a half-written folder never turns a tenant away.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ValidationError

from app.contract.directory import PLATFORM_ID, ApiKeyRule, PlatformEntry, TenantEntry
from app.identity.keys import ApiKey

LOOK_AGAIN_SECONDS = 1.0

_log = logging.getLogger(__name__)
_Model = TypeVar("_Model", bound=BaseModel)
_Stamp = tuple[tuple[str, int, int], ...]


class DirectoryError(Exception):
    """The directory cannot be read; the text lists every fault with its file and the remedy."""


@dataclass(frozen=True)
class _State:
    platform: PlatformEntry
    tenants: dict[str, TenantEntry]
    keys: dict[str, tuple[tuple[str, ApiKeyRule], ...]]  # public half of the key -> (tenant, rule)


class Directory:
    """Tenants and platform as they stand now."""

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._clock = clock
        self._stamp = _stamp(folder)
        self._state = _read(folder)
        self._looked_at = clock()

    @property
    def platform(self) -> PlatformEntry:
        return self._current().platform

    def tenant(self, tenant: str) -> TenantEntry | None:
        """The tenant's entry; None when there is no such tenant."""
        return self._current().tenants.get(tenant)

    def tenants(self) -> tuple[TenantEntry, ...]:
        """All tenants, by id."""
        return tuple(self._current().tenants.values())

    def tenant_of(self, key: ApiKey) -> str | None:
        """The one tenant whose credentials hold the key."""
        return next((tenant for tenant, rule in self._current().keys.get(key.id, ()) if key.matches(rule)), None)

    def _current(self) -> _State:
        """Look at the files at most once a second; a faulty newer state is logged and not taken."""
        now = self._clock()
        if now - self._looked_at < LOOK_AGAIN_SECONDS:
            return self._state
        self._looked_at = now
        try:
            stamp = _stamp(self._folder)
            if stamp != self._stamp:
                self._stamp = stamp
                self._state = _read(self._folder)
        except DirectoryError as error:
            _log.error("%s; the state read before stays in force", error)
        return self._state


def read(url: str) -> Directory:
    """The directory at `file:///folder`. Raises DirectoryError."""
    parts = urlsplit(url)
    if parts.scheme != "file" or parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
        raise DirectoryError(f"TENON_DIRECTORY_URL {url!r} is no folder; write file:///folder with an absolute path")
    return Directory(Path(unquote(parts.path)))


def _stamp(folder: Path) -> _Stamp:
    try:
        return tuple((path.name, (stat := path.stat()).st_mtime_ns, stat.st_size) for path in _documents(folder))
    except OSError as error:
        raise DirectoryError(
            f"{folder}: cannot be read ({error.strerror}); run `tenon render` and look again"
        ) from error


def _documents(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.iterdir() if path.suffix == ".json")


def _read(folder: Path) -> _State:
    faults: list[str] = []
    tenants: dict[str, TenantEntry] = {}
    platform: PlatformEntry | None = None
    for path in _documents(folder):
        if path.stem == PLATFORM_ID:
            platform = _parse(path, PlatformEntry, faults)
        elif entry := _parse(path, TenantEntry, faults):
            tenants[entry.id] = entry
            if entry.id != path.stem:
                faults.append(f"{path.name}: id is {entry.id!r}; name the file {entry.id}.json")
    if not faults and platform is None:
        faults.append(f"{PLATFORM_ID}.json is missing; `tenon render` writes it")
    keys = _keys(tenants, faults)
    if faults or platform is None:
        raise DirectoryError("\n".join(f"{folder}: {fault}" for fault in faults))
    return _State(platform, tenants, keys)


def _parse(path: Path, model: type[_Model], faults: list[str]) -> _Model | None:
    try:
        return model.model_validate_json(path.read_bytes())
    except OSError as error:
        faults.append(f"{path.name}: cannot be read ({error.strerror})")
    except ValidationError as error:
        for fault in error.errors(include_input=False, include_url=False):
            place = ".".join(map(str, fault["loc"]))
            faults.append(f"{path.name}: {place or 'document'}: {fault['msg']}; render it again with this version")
    return None


def _keys(tenants: dict[str, TenantEntry], faults: list[str]) -> dict[str, tuple[tuple[str, ApiKeyRule], ...]]:
    """Rules by public half. A credential of two tenants is a fault: a caller is exactly one tenant."""
    owners: dict[object, str] = {}
    keys: dict[str, tuple[tuple[str, ApiKeyRule], ...]] = {}
    for tenant in tenants.values():
        for credential in tenant.credentials:
            identity = credential.api_key.sha256 if credential.api_key else credential.oidc
            owner = owners.setdefault(identity, tenant.id)
            if owner != tenant.id:
                faults.append(f"{tenant.id}.json: a credential is {owner}'s too; give each tenant its own")
            if rule := credential.api_key:
                keys[rule.id] = (*keys.get(rule.id, ()), (tenant.id, rule))
    return keys
