"""Images by digest. images.lock is the only place that names one; `platform.image(name)` reads it."""

from pydantic import Field

from app.contract.models import Sha256
from app.contract.wire import Wire

UNKNOWN_DIGEST = "0" * 64  # stands where no image was built yet; refused when platform.yaml says production


class LockedImage(Wire):
    """One line of images.lock."""

    repository: str = Field(pattern=r"^[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)+$", description="registry and path")
    digest: Sha256 = Field(description="sha256 of the image index")
    source: str = Field(alias="from", description="the Dockerfile or the upstream release it is made from")

    @property
    def reference(self) -> str:
        return f"{self.repository}@sha256:{self.digest}"


class ImageLock(Wire):
    """images.lock: one image for each role."""

    services: LockedImage = Field(description="ingest, dispatcher, watcher, webhooks, router, portal")
    promoter: LockedImage = Field(description="promoter: the services' image and the renderer")
    trainer: LockedImage = Field(description="prepare, train, evaluate, publish")
    trainerray: LockedImage = Field(description="the same with Ray, for runner `rayjob`")
    modelserver: LockedImage = Field(description="our own server, runtime `transformers`")
    vllm: LockedImage = Field(description="runtime `vllm`")
    triton: LockedImage = Field(description="runtime `triton`")
    ray: LockedImage = Field(description="runtime `ray`: Ray Serve with vLLM inside, nothing installed at run time")
    seaweedfs: LockedImage = Field(description="in-cluster object store and the tenants' S3 gateways")
    argoexec: LockedImage = Field(description="the containers that Argo adds to each pod of a workflow")
    kafka: LockedImage = Field(description="brokers, as Strimzi packs them")
    strimzi: LockedImage = Field(description="Strimzi's operators of topics and users")
    gatewayplugin: LockedImage = Field(description="traffic plugin of Argo Rollouts, copied into its controller")
    istioproxy: LockedImage = Field(description="sidecar and ingress gateway of the mesh, as istiod injects them")

    def by_role(self) -> dict[str, LockedImage]:
        return {role: getattr(self, role) for role in type(self).model_fields}
