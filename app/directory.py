"""The tenant directory (app/contract/directory.py) as it stands now, followed as it changes.

What was read once stays in force until something faultless takes its place, document by document: a fault in one
tenant's turns no other away, and without the platform's document nothing changes at all.
"""

import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import BaseModel, ValidationError

from app.contract.directory import PLATFORM_ID, ApiKeyRule, PlatformEntry, TenantEntry
from app.documents import ConfigMaps, Document, Folder, Source, SourceUnavailable
from app.identity.keys import ApiKey

if TYPE_CHECKING:
    from app.mirror import Mirror

LOOK_AGAIN_SECONDS = 1.0

_log = logging.getLogger(__name__)
_Model = TypeVar("_Model", bound=BaseModel)


class DirectoryError(Exception):
    """The directory cannot be read; the text lists every fault with its document and the remedy."""


@dataclass(frozen=True)
class _State:
    platform: PlatformEntry
    tenants: dict[str, TenantEntry]
    keys: dict[str, tuple[tuple[str, ApiKeyRule], ...]]  # public half of the key -> (tenant, rule)


class Directory:
    """Tenants and platform as they stand now."""

    def __init__(self, source: Source, *, is_strict: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        """is_strict: a fault in any document is raised now, where nothing stands yet. Raises DirectoryError."""
        self._source = source
        self._clock = clock
        try:
            self._stamp = source.stamp()
            self._state, faults = _read(source, None)
        except SourceUnavailable as error:
            raise DirectoryError(str(error)) from error
        if faults and is_strict:
            raise DirectoryError("\n".join(faults))
        self._tell(faults)
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

    def close(self) -> None:
        """Follow no more changes."""
        self._source.close()

    def _current(self) -> _State:
        """Look at the source at most once a second; what is faulty there is logged and not taken."""
        now = self._clock()
        if now - self._looked_at < LOOK_AGAIN_SECONDS:
            return self._state
        self._looked_at = now
        try:
            stamp = self._source.stamp()
            if stamp != self._stamp:
                self._state, faults = _read(self._source, self._state)
                self._stamp = stamp
                self._tell(faults)
        except (SourceUnavailable, DirectoryError) as error:
            _log.error("%s; the state read before stays in force", error)
        return self._state

    def _tell(self, faults: list[str]) -> None:
        for fault in faults:
            _log.error("%s; what was read of it before stays in force", fault)


def read(url: str, *, kubeconfig: Path | None = None) -> Directory:
    """The directory at `file:///folder` or `configmaps://<namespace>?label=<label>`.

    A folder is refused with any fault in it; of a cluster the faultless tenants are served. Raises DirectoryError,
    AccessError.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"} and parts.path.startswith("/"):
        return Directory(Folder(Path(unquote(parts.path))))
    label = parse_qs(parts.query).get("label", [""])[0]
    if parts.scheme == "configmaps" and parts.netloc and label and not parts.path:
        try:
            return Directory(_config_maps(parts.netloc, label, kubeconfig), is_strict=False)
        except SourceUnavailable as error:
            raise DirectoryError(str(error)) from error
    text = "write file:///folder with an absolute path, or configmaps://<namespace>?label=<label>"
    raise DirectoryError(f"TENON_DIRECTORY_URL {url!r} is no place of documents; {text}")


def _config_maps(namespace: str, label: str, kubeconfig: Path | None) -> ConfigMaps:
    """Raises AccessError, SourceUnavailable."""
    from app.kubeconfig import Access
    from app.mirror import Mirror

    access = Access.of(kubeconfig, os.environ)

    def follow(keep: Callable[[dict[str, Any]], Document]) -> "Mirror[Document]":
        mirror = Mirror[Document](access, keep, selector=label)
        mirror.follow([f"/api/v1/namespaces/{namespace}/configmaps"])
        return mirror

    return ConfigMaps(follow, place=f"ConfigMaps of {namespace}")


def _read(source: Source, before: _State | None) -> tuple[_State, list[str]]:
    """What stands now, and the faults of what was not taken. Raises SourceUnavailable, DirectoryError."""
    faults: list[str] = []
    tenants: dict[str, TenantEntry] = {}
    known = before.tenants if before else {}
    platform, is_there = before.platform if before else None, False
    for document in source.documents():
        if document.name == PLATFORM_ID:
            platform, is_there = _parse(document, PlatformEntry, faults) or platform, True
            continue
        entry = _parse(document, TenantEntry, faults)
        if entry is not None and entry.id != document.name:
            faults.append(f"{document.place}: id is {entry.id!r}; name the file {entry.id}.json")
            entry = None
        if taken := entry or known.get(document.name):
            tenants[document.name] = taken
    tenants = _without_shared_credentials(tenants, known, faults)
    if not is_there:
        faults.append(f"{PLATFORM_ID}.json is missing; `tenon render` writes it")
    told = [f"{source}: {fault}" for fault in faults]
    if platform is None or not is_there:
        raise DirectoryError("\n".join(told))
    return _State(platform, tenants, _keys(tenants)), told


def _parse(document: Document, model: type[_Model], faults: list[str]) -> _Model | None:
    try:
        return model.model_validate_json(document.text)
    except ValidationError as error:
        for fault in error.errors(include_input=False, include_url=False):
            place = ".".join(map(str, fault["loc"]))
            faults.append(f"{document.place}: {place or 'document'}: {fault['msg']}; render it again with this version")
    return None


def _without_shared_credentials(
    tenants: Mapping[str, TenantEntry], known: Mapping[str, TenantEntry], faults: list[str]
) -> dict[str, TenantEntry]:
    """A credential of two tenants is a fault, because a caller is exactly one tenant.

    Of the two those are not taken that are not what they were before: they are as they were, or are not there.
    """
    taken = dict(tenants)
    while pair := _sharing(taken):
        faults.append(f"{pair[1]}.json: a credential is {pair[0]}'s too; give each tenant its own")
        for tenant in pair:
            if tenant in known and taken[tenant] != known[tenant]:
                taken[tenant] = known[tenant]
            elif tenant not in known:
                del taken[tenant]
    return taken


def _sharing(tenants: Mapping[str, TenantEntry]) -> tuple[str, str] | None:
    """Two tenants with one credential."""
    owners: dict[object, str] = {}
    for tenant in tenants.values():
        for credential in tenant.credentials:
            identity = credential.api_key.sha256 if credential.api_key else credential.oidc
            owner = owners.setdefault(identity, tenant.id)
            if owner != tenant.id:
                return owner, tenant.id
    return None


def _keys(tenants: Mapping[str, TenantEntry]) -> dict[str, tuple[tuple[str, ApiKeyRule], ...]]:
    """Rules by public half."""
    keys: dict[str, tuple[tuple[str, ApiKeyRule], ...]] = {}
    for tenant in tenants.values():
        for credential in tenant.credentials:
            if rule := credential.api_key:
                keys[rule.id] = (*keys.get(rule.id, ()), (tenant.id, rule))
    return keys
