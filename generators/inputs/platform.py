"""The platform file: what the platform engineer decides once for all tenants."""

from decimal import Decimal
from ipaddress import ip_network
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from app.contract.models import Sha256
from app.contract.wire import Wire


def _network(value: str) -> str:
    ip_network(value)  # ValueError: its text names the value and the rule
    return value


Cidr = Annotated[str, AfterValidator(_network)]
Label = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]


class Gateway(Wire):
    """The one Gateway that all HTTPRoutes attach to."""

    name: Label = "tenon"
    namespace: Label = "gateway"


class Storage(Wire):
    """Where buckets are. In the cluster every tenant has an S3 gateway of its own; AWS addresses are shared."""

    mode: Literal["inCluster", "s3"] = "inCluster"
    bucket_prefix: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$")] = "tenon"
    region: str | None = Field(None, description="AWS region, for mode s3")

    @model_validator(mode="after")
    def _region_goes_with_s3(self) -> "Storage":
        if (self.mode == "s3") != (self.region is not None):
            raise ValueError("mode s3 needs a region, mode inCluster has none")
        return self


class GpuFlavor(Wire):
    """One kind of GPU node."""

    capacity: int = Field(ge=0, description="GPUs of this kind in the cluster")
    price_per_hour: Decimal = Field(ge=0)
    memory_gib: int = Field(ge=1, alias="memoryGiB")
    architecture: Literal["turing", "ampere", "ada", "hopper", "blackwell"]
    node_labels: dict[str, str] = Field(default_factory=dict)


class BaseModelSource(Wire):
    """A base model of the catalogue."""

    source: str = Field(description="where the platform got it; never fetched by a job")
    digest: Sha256 = Field(description="sha256 of its MANIFEST.json in the models bucket")
    licence: str
    memory_gib: int = Field(ge=1, alias="memoryGiB")
    recipe: str = Field(description="recipe of jobs that name the base and no model record")


class Money(Wire):
    """Prices that no GPU flavor carries."""

    currency: str = Field("EUR", pattern=r"^[A-Z]{3}$")
    cpu_hour: Decimal = Field(Decimal("0.04"), ge=0)


class Dns(Wire):
    """The resolver pods ask. It is trusted by namespace and account, never by a label anyone may carry."""

    mode: Literal["pods", "node"] = Field("pods", description="node: a cache on the node answers")
    namespace: Label = "kube-system"
    account: Label = "coredns"
    search_domains: tuple[str, ...] = ("cluster.local",)


class ApiServer(Wire):
    """The Kubernetes API server as pods see it."""

    port: int = Field(6443, ge=1, le=65535)
    addresses: tuple[Cidr, ...] = Field((), description="empty: on nodes of the cluster")


class Platform(Wire):
    """platform.yaml."""

    cluster: Label
    domain: str = Field(pattern=r"^([a-z0-9-]+\.)+[a-z]+$", description="tenants are served under it")
    repository: str = Field(pattern=r"^(https|ssh|file)://", description="this repository, as Argo CD reaches it")
    gateway: Gateway = Gateway()
    storage: Storage = Storage()
    gpu_flavors: dict[Label, GpuFlavor] = Field(min_length=1)
    catalogue: dict[Label, BaseModelSource] = Field(min_length=1)
    prices: Money = Money()
    dns: Dns = Dns()
    api_server: ApiServer = ApiServer()
    node_ranges: tuple[Cidr, ...] = Field(min_length=1, description="addresses of nodes")
    private_addresses: tuple[Cidr, ...] = Field((), description="private addresses that an allowed name may have")
    oidc_issuers: tuple[Annotated[str, Field(pattern=r"^https://")], ...] = ()
    trusted_registries: tuple[str, ...] = Field(min_length=1, description="registries that images may come from")
    traffic_router: Literal["gatewayApi", "istio"] = "gatewayApi"
    cilium_version: Literal["1.20"] = Field("1.20", description="the version whose semantics the proof uses")
    production: bool = Field(default=False, description="true: images without a real digest are refused")
