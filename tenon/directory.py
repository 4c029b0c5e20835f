"""The tenant directory of this machine: the rendered one, with a local API key for each tenant."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from app.contract.directory import DIRECTORY_KEY, PLATFORM_ID, PlatformEntry, TenantEntry, directory_name
from tenon.home import Home
from tenon.output import CommandError


def entries(root: Path) -> tuple[dict[str, TenantEntry], PlatformEntry]:
    """The directory as rendered. Raises CommandError when rendered/ holds none."""
    found: dict[str, str] = {}
    for path in sorted((root / "rendered").glob(f"*/**/core_configmap_{directory_name('*')}.yaml")):
        try:
            body = yaml.safe_load(path.read_text(encoding="utf-8"))
            found[body["metadata"]["name"].removeprefix(directory_name(""))] = body["data"][DIRECTORY_KEY]
        except (yaml.YAMLError, KeyError, TypeError, UnicodeDecodeError):
            raise CommandError(f"{path}: is no tenant directory; it was edited by hand: run `tenon render`") from None
    platform = found.pop(PLATFORM_ID, None)
    if platform is None or not found:
        raise CommandError(f"{root / 'rendered'}: holds no tenant directory; run `tenon render` first")
    try:
        tenants = {tenant: TenantEntry.model_validate_json(text) for tenant, text in found.items()}
        return tenants, PlatformEntry.model_validate_json(platform)
    except ValidationError as error:
        text = f"{root / 'rendered'}: a tenant directory is of another version ({error.title}); run `tenon render`"
        raise CommandError(text) from None


def write_directory(home: Home, tenants: Mapping[str, TenantEntry], platform: PlatformEntry) -> None:
    """One file per tenant and one for the platform; files of tenants that are gone are removed."""
    home.directory.mkdir(exist_ok=True, mode=0o700)
    keys = home.api_keys(tenants)
    wanted = {f"{PLATFORM_ID}.json": platform.model_dump_json(by_alias=True)}
    wanted |= {f"{tenant}.json": _with_key(entry, keys[tenant]) for tenant, entry in tenants.items()}
    for path in home.directory.glob("*.json"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (home.directory / name).write_text(text)


def _with_key(entry: TenantEntry, key: str) -> str:
    document: dict[str, Any] = entry.model_dump(mode="json", by_alias=True, exclude_none=True)
    rule = {"id": key.split("_")[1], "sha256": hashlib.sha256(key.encode()).hexdigest()}
    document["credentials"].append({"apiKey": rule})
    return TenantEntry.model_validate(document).model_dump_json(by_alias=True)
