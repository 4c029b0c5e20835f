"""The platform file: what the platform engineer decides once for all tenants."""

import re
from decimal import Decimal
from ipaddress import ip_network
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from app.contract.models import Sha256
from app.contract.wire import Wire, fault
from generators.charts import LockedChart
from generators.images import LockedImage
from generators.inputs.tenant import Use, is_host

LEAST_PREFIX = 8
MOST_DOMAIN = 200  # characters, so that `<model>.<tenant>.<domain>` is still a name
OTHER_PARTITIONS = ("cn-", "us-gov-", "us-iso", "eu-isoe-", "eusc-")  # their hosts and ARNs begin otherwise
_LABEL_NAME = r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_SUBDOMAIN = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*"


def _network(value: str) -> str:
    if ip_network(value).prefixlen < LEAST_PREFIX:  # ip_network's ValueError names the value and the rule
        raise ValueError(f"covers more than a /{LEAST_PREFIX}; a range this wide means everything")
    return value


def _domain(value: str) -> str:
    if not is_host(value) or len(value) > MOST_DOMAIN:
        raise ValueError(f"is no exact lower-case host name of {MOST_DOMAIN} characters at most; name one, without *")
    return value


def _repository(value: str) -> str:
    """What stands here is rendered and public to every tenant's owners, so it holds no secret."""
    if not re.fullmatch(r"(https|ssh|file)://[!-Z^-~]+", value):  # no space, no address in brackets
        raise ValueError("is no URL; write https://, ssh:// or file:// and no space in it")
    url = urlsplit(value)
    if url.password is not None or (url.username is not None and url.scheme != "ssh"):
        raise ValueError("names a user or a password; leave them out, Argo CD has credentials of its own")
    if url.scheme != "file" and not url.hostname:
        raise ValueError("names no host; write it behind ://")
    return value


def _region(value: str) -> str:
    if value.startswith(OTHER_PARTITIONS):
        raise ValueError("is of a partition whose hosts and ARNs differ from those rendered; choose another region")
    if not re.fullmatch(r"[a-z]{2}(-[a-z]+)+-[0-9]", value):
        raise ValueError("is no AWS region; write one as eu-central-1")
    return value


def _label_key(value: str) -> str:
    prefix, slash, name = value.rpartition("/")
    if not re.fullmatch(_LABEL_NAME, name) or (slash and not re.fullmatch(_SUBDOMAIN, prefix)):
        raise ValueError("is no key of a Kubernetes label; write one as example.org/gpu")
    return value


def _label_value(value: str) -> str:
    if not re.fullmatch(_LABEL_NAME, value):
        raise ValueError("is no value of a Kubernetes label; write 1-63 letters, digits, - _ or . between two of them")
    return value


Cidr = Annotated[str, AfterValidator(_network)]
LabelKey = Annotated[str, AfterValidator(_label_key)]
LabelValue = Annotated[str, AfterValidator(_label_value)]
Label = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]


class Gateway(Wire):
    """The one Gateway that all HTTPRoutes attach to."""

    name: Label = Field("tenon", description="of the Gateway object")
    namespace: Label = Field("gateway", description="where it stands")


class Storage(Wire):
    """Where buckets are. In the cluster every tenant has an S3 gateway of its own; AWS addresses are shared."""

    mode: Literal["inCluster", "s3"] = Field("inCluster", description="SeaweedFS in the cluster, or AWS S3")
    bucket_prefix: str = Field(
        "tenon", pattern=r"^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$", description="a bucket is `<prefix>-<tenant>`"
    )
    region: Annotated[str, AfterValidator(_region)] | None = Field(None, description="AWS region, for mode s3")
    account: str | None = Field(
        None, pattern=r"^[0-9]{12}$", description="AWS account that owns every bucket and role, for mode s3"
    )

    @model_validator(mode="after")
    def _region_and_account_go_with_s3(self) -> "Storage":
        if {self.mode == "s3"} != {self.region is not None, self.account is not None}:
            raise ValueError("mode s3 needs a region and an account, mode inCluster has neither; mend one of the three")
        return self


class Sharing(Wire):
    """Several pods of one tenant on each GPU. Neither mode isolates memory or faults, so the flavor has one tenant."""

    mode: Literal["timeSlicing", "mps"] = Field(description="how the device plugin of these nodes divides a GPU")
    replicas: int = Field(ge=2, le=16, description="pods on one GPU; capacity counts GPUs times replicas")


class GpuFlavor(Wire):
    """One kind of GPU node."""

    sharing: Sharing | None = Field(None, description="none: a pod has its GPUs alone")
    device_class: str | None = Field(
        None, pattern=f"^{_SUBDOMAIN}$", max_length=253, description="DeviceClass, for tenants with claims dra"
    )

    capacity: int = Field(ge=0, description="GPUs of this kind in the cluster")
    shared: int = Field(0, ge=0, description="GPUs of the capacity that no tenant is guaranteed and any may borrow")
    cpus_per_gpu: int = Field(8, ge=1, description="cores of the node for each GPU")
    host_memory_gib_per_gpu: int = Field(
        32, ge=1, alias="hostMemoryGiBPerGpu", description="main memory of the node for each GPU"
    )
    price_per_hour: Decimal = Field(ge=0, description="of one GPU, in prices.currency")
    memory_gib: int = Field(ge=1, alias="memoryGiB", description="of one GPU")
    architecture: Literal["turing", "ampere", "ada", "hopper", "blackwell"] = Field(
        description="decides which precisions and kernels work"
    )
    node_labels: dict[LabelKey, LabelValue] = Field(
        default_factory=dict, description="labels of the nodes that carry it"
    )

    @model_validator(mode="after")
    def _whole_gpus_are_divided(self) -> "GpuFlavor":
        if self.sharing and self.capacity % self.sharing.replicas:
            text = f"{self.capacity} is no multiple of sharing.replicas ({self.sharing.replicas}), by which it counts"
            raise fault(f"{text}; write GPUs times replicas", "capacity")
        return self

    @property
    def brings_shared_memory(self) -> bool:
        """MPS and its clients share /dev/shm, which the device plugin mounts; a volume of ours there would hide it."""
        return self.sharing is not None and self.sharing.mode == "mps"


class BaseModelSource(Wire):
    """A base model of the catalogue."""

    source: str = Field(description="where the platform got it; never fetched by a job")
    digest: Sha256 = Field(description="sha256 of its MANIFEST.json in the models bucket")
    licence: str = Field(description="SPDX identifier; asked for in the model card")
    forbids: tuple[Use, ...] = Field((), description="uses that the licence does not permit")
    memory_gib: int = Field(ge=1, alias="memoryGiB", description="GPU memory that serving it needs")
    recipe: str = Field(description="recipe of jobs that name the base and no model record")


class Money(Wire):
    """Prices that no GPU flavor carries."""

    currency: str = Field("EUR", pattern=r"^[A-Z]{3}$", description="ISO 4217 code of every price and budget")
    cpu_hour: Decimal = Field(Decimal("0.04"), ge=0, description="one core for one hour")


class Broker(Wire):
    """Kafka as Strimzi runs it in the broker namespace."""

    cluster: Label = Field("tenon", max_length=40, description="name of the Kafka object; Strimzi's end in more")
    partitions: int = Field(12, ge=1, le=1000, description="of finetuning-jobs; more than the dispatchers is enough")
    replicas: int = Field(3, ge=1, le=9, description="copies of each partition")


class Dns(Wire):
    """The resolver pods ask. It is trusted by namespace and account, never by a label anyone may carry."""

    mode: Literal["pods", "node"] = Field("pods", description="node: a cache on the node answers")
    namespace: Label = Field("kube-system", description="of the resolver's pods")
    account: Label = Field("coredns", description="service account of the resolver's pods")
    search_domains: tuple[Annotated[str, Field(pattern=f"^{_SUBDOMAIN}$")], ...] = Field(
        ("cluster.local",), description="appended to short names, cluster's first"
    )


class ApiServer(Wire):
    """The Kubernetes API server as pods see it."""

    port: int = Field(6443, ge=1, le=65535, description="behind the Service, as policies see it")
    addresses: tuple[Cidr, ...] = Field((), description="empty: on nodes of the cluster")


class Platform(Wire):
    """platform.yaml. `images` is images.lock and `charts` charts.lock; they are no keys of the file."""

    images: dict[str, LockedImage] = Field(default_factory=dict)
    charts: dict[str, LockedChart] = Field(default_factory=dict)
    cluster: Label = Field(description="folder below rendered/, and the cluster's name in Argo CD")
    domain: Annotated[str, AfterValidator(_domain)] = Field(description="tenants are served under it")
    repository: Annotated[str, AfterValidator(_repository)] = Field(
        description="this repository, as Argo CD reaches it"
    )
    gateway: Gateway = Gateway()
    storage: Storage = Storage()
    gpu_flavors: dict[Label, GpuFlavor] = Field(min_length=1, description="kinds of GPU nodes")
    catalogue: dict[Label, BaseModelSource] = Field(min_length=1, description="base models that tenants may tune")
    prices: Money = Money()
    broker: Broker = Broker()
    dns: Dns = Dns()
    api_server: ApiServer = ApiServer()
    node_ranges: tuple[Cidr, ...] = Field(min_length=1, description="addresses of nodes")
    private_addresses: tuple[Cidr, ...] = Field((), description="private addresses that an allowed name may have")
    oidc_issuers: tuple[
        Annotated[str, Field(pattern=r"^https://[A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9._~%/-]*)?$")], ...
    ] = Field((), description="issuers whose tokens the API accepts")
    trusted_registries: tuple[str, ...] = Field(min_length=1, description="registries that images may come from")
    traffic_router: Literal["gatewayApi", "istio"] = Field("gatewayApi", description="what splits canary traffic")
    cilium_version: Literal["1.20"] = Field("1.20", description="the version whose semantics the proof uses")
    production: bool = Field(default=False, description="true: images and bases without a real digest are refused")

    def image(self, name: str) -> str:
        """`repository@sha256:digest` of an image of images.lock. Raises KeyError."""
        return self.images[name].reference

    def chart(self, name: str) -> LockedChart:
        """A chart of charts.lock. Raises KeyError."""
        return self.charts[name]
