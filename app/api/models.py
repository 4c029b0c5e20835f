"""`/v1/models`: what `model` may name, and the versions that users get. Git is their registry (DESIGN D24)."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.api.entrance import Entrance
from app.api.errors import Problem, not_found
from app.api.listing import page
from app.api.shapes import ModelObject
from app.contract.directory import TenantEntry
from app.directory import Directory

MODELS = "/v1/models"


class Models:
    """The routes."""

    def __init__(self, *, entrance: Entrance, directory: Directory) -> None:
        self._entrance = entrance
        self._directory = directory

    def routes(self) -> list[Route]:
        return [
            Route(MODELS, self.list, methods=["GET"]),
            Route(f"{MODELS}/{{model}}", self.retrieve, methods=["GET"]),
            Route(f"{MODELS}/{{model}}", self.delete, methods=["DELETE"]),
        ]

    async def list(self, request: Request) -> Response:
        models = self._models(self._entrance.admit(request).tenant)
        return page(list(models.values()), limit=len(models))

    async def retrieve(self, request: Request) -> Response:
        return JSONResponse(self._own(request))

    async def delete(self, request: Request) -> Response:
        """Always refused: nothing but a reviewed change takes a model from its users."""
        owner = self._own(request)["owned_by"]
        where = "platform.yaml" if owner == "platform" else f"tenants/{owner}/models/"
        raise Problem(403, "model_in_git", f"models are removed by a pull request that changes {where}")

    def _own(self, request: Request) -> ModelObject:
        models = self._models(self._entrance.admit(request).tenant)
        if (found := models.get(request.path_params["model"])) is None:
            raise not_found("model")
        return found

    def _models(self, tenant: TenantEntry) -> dict[str, ModelObject]:
        owners = {name: "platform" for name in self._directory.platform.catalogue if name in tenant.bases}
        for name, record in tenant.models.items():
            versions = (version for version in (record.stable, record.canary) if version)
            owners |= dict.fromkeys((name, *versions), tenant.id)
        # the directory holds no dates; 0 says so without breaking a client that wants a number
        return {
            name: {"id": name, "object": "model", "created": 0, "owned_by": owner} for name, owner in owners.items()
        }
