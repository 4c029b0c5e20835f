"""What is read from a tenant's steps while they run: `/metrics` of each, through the one port that is open for it.

It stands in the foundation, so that a tenant's deployer has no right on it.
"""

from typing import Any

from generators import naming, versions
from generators.inputs.tenant import Tenant
from generators.manifest import Construct, Place, Wave, manifest
from generators.training.pod import METRICS


class TrainingMonitor(Construct):
    """PodMonitor `steps` of `<tenant>-train`."""

    def __init__(self, scope: Construct, construct_id: str, *, tenant: Tenant) -> None:
        super().__init__(scope, construct_id)
        place = Place("foundation", naming.training_namespace(tenant.id), tenant.key("training"), Wave.SERVICE)
        manifest(self, pod_monitor(tenant.id), at=place)


def pod_monitor(tenant: str) -> dict[str, Any]:
    """Of all pods of the tenant those that have the port: steps, and not what Argo runs beside them.

    The tenant is written by the scraping, over whatever a step says of itself.
    """
    endpoint = {
        "port": METRICS["name"],
        "path": "/metrics",
        "interval": "30s",
        "honorLabels": False,
        "relabelings": [{"targetLabel": "tenant", "replacement": tenant}],
    }
    labels = naming.labels(tenant)
    return {
        "apiVersion": versions.MONITORING,
        "kind": "PodMonitor",
        "metadata": {"name": "steps", "labels": labels},
        "spec": {"selector": {"matchLabels": labels}, "podMetricsEndpoints": [endpoint]},
    }
