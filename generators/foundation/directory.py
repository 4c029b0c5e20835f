"""What the services know of a tenant and of the platform, as ConfigMaps in their own namespace."""

import json
from typing import Any

from app.contract.cost import Prices
from app.contract.directory import (
    DIRECTORY_KEY,
    PLATFORM_ID,
    CatalogueEntry,
    DirectoryModel,
    PlatformEntry,
    RecipeEntry,
    TenantEntry,
    directory_name,
)
from app.contract.models import ModelRecord, Stage
from app.contract.wire import Wire
from generators import naming
from generators.inputs.platform import Platform
from generators.inputs.recipes import recipe, recipe_names
from generators.inputs.tenant import Tenant
from generators.manifest import Construct, Place, Wave, manifest
from generators.training.templates import TrainingTemplates
from trainer.contract.recipe import Recipe

DIRECTORY_LABEL = f"{naming.PREFIX}/directory"  # by which services find the documents


class TenantDirectory(Construct):
    """ConfigMap `directory-<tenant>`: rendered with the tenant, so that tenants share no file."""

    def __init__(
        self, scope: Construct, construct_id: str, *, tenant: Tenant, platform: Platform, templates: TrainingTemplates
    ) -> None:
        super().__init__(scope, construct_id)
        place = Place("foundation", naming.SYSTEM_NAMESPACE, tenant.key(""), Wave.CONFIG)
        entry = tenant_entry(tenant, platform, templates)
        manifest(self, document(tenant.id, entry, naming.labels(tenant.id)), at=place)


class PlatformDirectory(Construct):
    """ConfigMap `directory-platform`: prices, catalogue, recipes."""

    def __init__(self, scope: Construct, construct_id: str, *, platform: Platform) -> None:
        super().__init__(scope, construct_id)
        place = Place("foundation", naming.SYSTEM_NAMESPACE, "platform.yaml", Wave.CONFIG)
        manifest(self, document(PLATFORM_ID, platform_entry(platform), naming.MANAGED_BY), at=place)


def tenant_entry(tenant: Tenant, platform: Platform, templates: TrainingTemplates) -> TenantEntry:
    """The tenant file as far as callers, jobs and money need it."""
    return TenantEntry(
        id=tenant.id,
        display_name=tenant.name,
        bucket=naming.bucket(platform.storage.bucket_prefix, tenant.id),
        limits=tenant.limits,
        budget=tenant.budget,
        credentials=tenant.credentials,
        callbacks=tenant.callbacks,
        models={name: model_entry(record) for name, record in tenant.models.items()},
        bases=tuple(sorted(name for name, base in platform.catalogue.items() if tenant.use not in base.forbids)),
        workflow_templates=templates.finetune_names,
        search_templates=templates.search_names,
        training_namespace=naming.training_namespace(tenant.id),
        slots=tenant.limits.running_jobs if tenant.isolation == "hard" else None,
        gpu_hour_price=platform.gpu_flavors[tenant.training.gpus.flavor].price_per_hour,
    )


def platform_entry(platform: Platform) -> PlatformEntry:
    """The platform file as far as all tenants' jobs need it."""
    return PlatformEntry(
        prices=Prices(currency=platform.prices.currency, cpu_hour=platform.prices.cpu_hour),
        models_bucket=naming.models_bucket(platform.storage.bucket_prefix),
        catalogue={
            name: CatalogueEntry(digest=base.digest, licence=base.licence, recipe=base.recipe)
            for name, base in platform.catalogue.items()
        },
        recipes=recipe_names(),
        recipe_entries={name: recipe_entry(recipe(name)) for name in recipe_names()},
        issuers=platform.oidc_issuers,
        private_addresses=platform.private_addresses,
    )


def recipe_entry(recipe: Recipe) -> RecipeEntry:
    """A recipe as far as callers of the API need it."""
    return RecipeEntry(
        objective=recipe.objective,
        method=recipe.method,
        width=recipe.width,
        gpus=recipe.gpus,
        epochs=recipe.epochs,
        learning_rate=recipe.learning_rate,
        batch_rows=recipe.batch_rows,
        batch_multiple=recipe.ranks * recipe.micro_rows,
    )


def document(name: str, entry: Wire, labels: dict[str, str]) -> dict[str, Any]:
    """A directory entry as a ConfigMap; its JSON is canonical, so equal entries are equal bytes."""
    text = json.dumps(entry.model_dump(mode="json", by_alias=True, exclude_none=True), sort_keys=True)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": directory_name(name), "labels": {**labels, DIRECTORY_LABEL: name}},
        "data": {DIRECTORY_KEY: text},
    }


def model_entry(record: ModelRecord) -> DirectoryModel:
    """A record as far as jobs need it, and the router: which versions there are, and who gets which."""
    stable, canary = record.at(Stage.STABLE), record.at(Stage.CANARY)
    by_router = record.serving.canary if record.serving.canary.level == "adapter" and stable and canary else None
    ab = record.serving.ab
    return DirectoryModel(
        base=record.base,
        recipe=record.recipe,
        gate=record.gate,
        stable=stable.version if stable else None,
        canary=canary.version if canary else None,
        adapter_share=by_router.adapter_share if by_router else None,
        ab=ab.version if ab else None,
        ab_share=ab.share if ab else None,
    )
