"""The cast of the service tests: two tenants, one platform, and their keys."""

import json
from pathlib import Path

from app.contract.cost import Prices
from app.contract.directory import (
    ApiKeyRule,
    CatalogueEntry,
    Credential,
    DirectoryModel,
    Limits,
    PlatformEntry,
    RecipeEntry,
    TenantEntry,
)
from app.contract.models import Gate
from app.contract.wire import Wire
from app.identity.keys import digest

DIGEST = "ab" * 32
KEYS = {tenant: f"ftk_{tenant}_{tenant}-secret-of-the-tests-only" for tenant in ("acme", "globex")}
FORBIDDEN = "research-1b"  # a base whose licence forbids what the tenants are for
UNKNOWN_KEY = "ftk_acme_another-secret-of-the-tests"


def tenant_entry(tenant: str = "acme", *, limits: Limits | None = None, key: str | None = None) -> TenantEntry:
    """A tenant with one model record and one callback host."""
    rule = ApiKeyRule(id=tenant, sha256=digest(key or KEYS[tenant]))
    record = DirectoryModel(base="smollm2-135m", recipe="smollm2-135m-slow", gate=Gate(), stable="replies-1")
    return TenantEntry(
        id=tenant,
        display_name=tenant.title(),
        bucket=f"tenon-{tenant}",
        limits=limits or Limits(requests_per_second=1000),
        credentials=(Credential(api_key=rule),),
        callbacks=(f"hooks.{tenant}.example",),
        models={"replies": record},
        bases=("b" * 50, "smollm2-135m"),
        workflow_templates={"smollm2-135m-cpu": "finetune-0123abcd"},
        training_namespace=f"{tenant}-train",
    )


def platform_entry() -> PlatformEntry:
    base = CatalogueEntry(digest=DIGEST, licence="apache-2.0", recipe="smollm2-135m-cpu")
    return PlatformEntry(
        prices=Prices(),
        models_bucket="tenon-models",
        catalogue={
            "smollm2-135m": base,
            "b" * 50: base,
            FORBIDDEN: base.model_copy(update={"licence": "research-only"}),
        },
        recipes=("smollm2-135m-cpu", "smollm2-135m-slow"),
        recipe_entries={
            "smollm2-135m-cpu": RecipeEntry(
                objective="supervised",
                method="lora",
                width=512,
                gpus=0,
                epochs=2,
                learning_rate=2e-4,
                batch_rows=4,
                batch_multiple=2,
            )
        },
    )


def write_directory(folder: Path, *tenants: TenantEntry) -> str:
    """The tenant directory as a folder; its URL."""
    folder.mkdir(exist_ok=True)
    write_entry(folder, "platform", platform_entry())
    for tenant in tenants or (tenant_entry("acme"), tenant_entry("globex")):
        write_entry(folder, tenant.id, tenant)
    return folder.as_uri()


def write_entry(folder: Path, name: str, entry: Wire) -> None:
    document = entry.model_dump(mode="json", by_alias=True)
    (folder / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
