"""Charts by digest. charts.lock is the only place that names one; `platform.chart(name)` reads it."""

from pydantic import Field

from app.contract.wire import Wire
from generators.images import LockedImage


class LockedChart(LockedImage):
    """One entry of charts.lock: an OCI artifact that holds one Helm chart, or one folder of plain YAML."""

    @property
    def url(self) -> str:
        """As Argo CD names the source of an Application."""
        return f"oci://{self.repository}"

    @property
    def revision(self) -> str:
        return f"sha256:{self.digest}"


def _chart(name: str, description: str) -> LockedChart:
    found: LockedChart = Field(alias=name, description=description)
    return found


class ChartLock(Wire):
    """charts.lock: one chart for each part of the cluster that is not ours."""

    cilium: LockedChart = Field(description="network and policies; installed with the cluster, before Argo CD")
    gateway_api: LockedChart = _chart("gateway-api", "kinds of routes and of the Gateway, plain YAML")
    argo_workflows_crds: LockedChart = _chart("argo-workflows-crds", "kinds of workflows, plain YAML")
    argo_workflows: LockedChart = _chart("argo-workflows", "workflow controller")
    argo_rollouts_crds: LockedChart = _chart("argo-rollouts-crds", "kinds of roll-outs, plain YAML")
    argo_rollouts: LockedChart = _chart("argo-rollouts", "canaries, with the traffic plugin")
    external_secrets: LockedChart = _chart("external-secrets", "secrets from the secret store")
    gpu_operator: LockedChart = _chart("gpu-operator", "GPU drivers, device plugin, exporter, node features")
    dra_driver: LockedChart = _chart("dra-driver", "GPUs as claimed devices")
    jobset: LockedChart = Field(description="runner `jobset`, and what the trainer makes")
    keda: LockedChart = Field(description="scaling by waiting requests")
    kuberay: LockedChart = Field(description="runner `rayjob` and runtime `ray`")
    kueue: LockedChart = Field(description="queues of GPUs")
    prometheus: LockedChart = Field(description="Prometheus Operator, Prometheus, Grafana")
    prometheus_adapter: LockedChart = _chart("prometheus-adapter", "waiting requests as a metric of Kubernetes")
    strimzi: LockedChart = Field(description="operator of the broker")
    trainer: LockedChart = Field(description="runner `trainjob`")
    istio_base: LockedChart = _chart("istio-base", "kinds of the mesh")
    istiod: LockedChart = Field(description="control plane of the mesh")
    istio_cni: LockedChart = _chart("istio-cni", "the mesh's part of the network plugin")
    istio_gateway: LockedChart = _chart("istio-gateway", "entrance of the mesh")

    def by_name(self) -> dict[str, LockedChart]:
        return {field.alias or name: getattr(self, name) for name, field in type(self).model_fields.items()}
