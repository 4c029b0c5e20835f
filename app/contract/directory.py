"""The tenant directory: all that the services know of tenants and the platform, rendered as ConfigMaps.

One document per tenant and one for the platform; `app` never reads tenants/ or platform.yaml. TENON_DIRECTORY_URL says
where the documents are: `file:///folder` with `<tenant>.json` each and `platform.json`.
"""

from decimal import Decimal
from typing import Literal

from pydantic import Field, model_validator

from app.contract.cost import Prices
from app.contract.job import TenantId
from app.contract.models import Gate, Sha256
from app.contract.wire import Wire
from trainer.contract.recipe import Objective

DIRECTORY_KEY = "directory.json"  # key of the document inside its ConfigMap
PLATFORM_ID = "platform"  # stands for the tenant id in the platform's document; reserved as a tenant id


def directory_name(tenant: str) -> str:
    """Name of the ConfigMap that holds a tenant's document, in the services' namespace."""
    return f"directory-{tenant}"


class OidcRule(Wire):
    """Callers whose verified token holds this claim value act for the tenant."""

    issuer: str = Field(pattern=r"^https://", description="must be one of platform.yaml oidcIssuers")
    audience: str = Field(min_length=1, description="the token's `aud`")
    claim: str = Field(min_length=1, description="name of the claim; a list claim matches when it holds the value")
    value: str = Field(min_length=1, description="what the claim must hold")


class ApiKeyRule(Wire):
    """A caller that presents `ftk_<id>_<secret>` whose sha256 is this acts for the tenant."""

    id: str = Field(pattern=r"^[a-z0-9]{4,16}$", description="public half of the key")
    sha256: Sha256 = Field(description="sha256 of the whole key; the key itself is in no file")


class Credential(Wire):
    """One way to be a caller of the tenant: exactly one of the two."""

    oidc: OidcRule | None = Field(None, description="callers with an OIDC token")
    api_key: ApiKeyRule | None = Field(None, description="callers with an API key")

    @model_validator(mode="after")
    def _exactly_one(self) -> "Credential":
        if (self.oidc is None) == (self.api_key is None):
            raise ValueError("has to be exactly one of `oidc` and `apiKey`; write one list item for each")
        return self


class Limits(Wire):
    """What the API and the dispatcher hold a tenant to."""

    requests_per_second: int = Field(20, ge=1, le=1000, description="API requests of all the tenant's callers")
    queued_jobs: int = Field(100, ge=1, le=10_000, description="jobs that wait; more are answered 429")
    running_jobs: int = Field(2, ge=1, le=100, description="jobs that run at one time")
    dataset_gib: int = Field(5, ge=1, le=1024, alias="datasetGiB", description="size of one uploaded dataset")
    weight: int = Field(1, ge=1, le=100, description="jobs begun in a turn, where tenants wait for the same room")


class Budget(Wire):
    """Money per calendar month."""

    monthly: Decimal = Field(ge=0, description="amount in `currency`")
    currency: str = Field("EUR", pattern=r"^[A-Z]{3}$", description="ISO 4217 code, the one of platform.yaml prices")
    hard_stop: bool = Field(default=False, description="true: no job starts once the budget is spent")

    def stops(self, spent: Decimal) -> bool:
        """Whether no further job begins, this much of the month's money being spent."""
        return self.hard_stop and spent >= self.monthly


class DirectoryModel(Wire):
    """A model record as far as jobs need it."""

    base: str
    recipe: str
    gate: Gate
    stable: str | None = Field(None, description="version that users get")
    canary: str | None = None
    adapter_share: int | None = Field(None, description="percent of requests the router sends to the canary's adapter")
    ab: str | None = Field(None, description="version of arm b")
    ab_share: int | None = Field(None, description="percent of users in arm b")


class TenantEntry(Wire):
    """One tenant."""

    id: TenantId
    display_name: str
    bucket: str
    limits: Limits
    budget: Budget | None = None
    credentials: tuple[Credential, ...]
    callbacks: tuple[str, ...] = Field((), description="exact host names")
    models: dict[str, DirectoryModel] = Field(default_factory=dict)
    bases: tuple[str, ...] = Field((), description="bases of the catalogue whose licence permits the tenant's use")
    workflow_templates: dict[str, str] = Field(
        description="recipe -> content-hashed name of the template that new attempts run"
    )
    search_templates: dict[str, str] = Field(
        default_factory=dict, description="recipe -> content-hashed name of the template that searches hyperparameters"
    )
    training_namespace: str
    slots: int | None = Field(None, description="isolation hard: accounts that jobs have for themselves, one job each")
    gpu_hour_price: Decimal = Decimal(0)


class CatalogueEntry(Wire):
    """A base model that tenants may tune."""

    digest: Sha256 = Field(description="sha256 of the MANIFEST.json of its folder in the models bucket")
    licence: str
    recipe: str = Field(description="recipe of jobs that name the base and no model record")


class RecipeEntry(Wire):
    """A recipe as far as callers need it: what their job would be without their own hyperparameters."""

    objective: Objective
    method: Literal["lora", "qlora", "full"]
    width: int = Field(description="tokens of a packed row; longer documents are cut")
    gpus: int = Field(description="of one job; 0: it trains on the CPU")
    epochs: int
    learning_rate: float
    batch_rows: int
    batch_multiple: int = Field(description="batchRows of a job is a multiple of this: ranks x microRows")


class PlatformEntry(Wire):
    """What all tenants share."""

    prices: Prices
    models_bucket: str
    catalogue: dict[str, CatalogueEntry]
    recipes: tuple[str, ...]
    recipe_entries: dict[str, RecipeEntry] = Field(default_factory=dict, description="by name; each of `recipes`")
    issuers: tuple[str, ...] = Field((), description="OIDC issuers whose tokens the API accepts, by configuration")
    private_addresses: tuple[str, ...] = Field((), description="ranges that an allowed host name may lead to")
