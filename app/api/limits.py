"""`GET /v1/fine_tuning/models/limits`: what a job over each model may ask for, before anything is refused."""

from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.api.entrance import Entrance
from app.api.shapes import Bounds, LimitsList, ModelLimits
from app.contract.directory import PlatformEntry, RecipeEntry, TenantEntry
from app.directory import Directory
from trainer.contract.recipe import Hyperparameters


class Limits:
    """The route."""

    def __init__(self, *, entrance: Entrance, directory: Directory) -> None:
        self._entrance = entrance
        self._directory = directory

    def routes(self) -> list[Route]:
        return [Route("/v1/fine_tuning/models/limits", self.list, methods=["GET"])]

    async def list(self, request: Request) -> Response:
        tenant = self._entrance.admit(request).tenant
        found: LimitsList = {"object": "list", "data": list(limits_of(tenant, self._directory.platform))}
        return JSONResponse(found)


def limits_of(tenant: TenantEntry, platform: PlatformEntry) -> Iterator[ModelLimits]:
    """By the names that `model` may have: the tenant's records, then the bases it may tune."""
    named = {name: (record.base, record.recipe) for name, record in tenant.models.items()}
    for base in tenant.bases:
        if base in platform.catalogue:
            named.setdefault(base, (base, platform.catalogue[base].recipe))
    for model, (base, recipe) in named.items():
        if base not in platform.catalogue:
            continue
        entry = platform.recipe_entries.get(recipe)
        yield {
            "model": model,
            "base": base,
            "recipe": recipe,
            "licence": platform.catalogue[base].licence,
            "method": entry.method if entry else None,
            "context_width": entry.width if entry else None,
            "gpus": entry.gpus if entry else None,
            "batch_multiple": entry.batch_multiple if entry else None,
            "can_search": recipe in tenant.search_templates,
            "hyperparameters": bounds(entry),
        }


def bounds(entry: RecipeEntry | None) -> dict[str, Bounds]:
    """From the very schema that requests are held to."""
    own = entry.model_dump(by_alias=True) if entry else {}
    found: dict[str, Bounds] = {}
    for name, schema in Hyperparameters.model_json_schema(by_alias=True)["properties"].items():
        value: dict[str, Any] = next(form for form in schema["anyOf"] if form.get("type") != "null")
        found[name] = {
            "minimum": value.get("minimum"),
            "exclusiveMinimum": value.get("exclusiveMinimum"),
            "maximum": value.get("maximum"),
            "exclusiveMaximum": value.get("exclusiveMaximum"),
            "choices": value.get("enum"),
            "default": own.get(name),
        }
    return found
