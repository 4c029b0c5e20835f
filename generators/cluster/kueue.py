"""Settings of Kueue's manager: which jobs wait for quota, where, and how idle quota is shared.

Fields and their checks: kueue 0.19, apis/config/v1beta2 and pkg/config/validation.go. The chart that brings Kueue takes
the text as `managerConfig.controllerManagerConfigYaml`.
"""

import json
from typing import Any

from generators import naming
from generators.foundation.quota import GPU
from generators.inputs.platform import Platform

VERSION = "config.kueue.x-k8s.io/v1beta2"

# Our runners, and what a person might put in their place: a plain Job has to wait too.
FRAMEWORKS = ("batch/job", "jobset.x-k8s.io/jobset", "ray.io/rayjob", "trainer.kubeflow.org/trainjob")


def configuration(platform: Platform) -> dict[str, Any]:
    """The Configuration. Certificates and leader election are the chart's."""
    return {
        "apiVersion": VERSION,
        "kind": "Configuration",
        "integrations": {"frameworks": list(FRAMEWORKS)},
        # In training namespaces nothing runs beside the queue; elsewhere Kueue has no say.
        "manageJobsWithoutQueueName": True,
        "managedJobsNamespaceSelector": {"matchLabels": {naming.PLANE_LABEL: "train"}},
        "waitForPodsReady": pods_ready(),
        "fairSharing": {"preemptionStrategies": ["LessThanOrEqualToFinalShare", "LessThanInitialShare"]},
        "metrics": {"bindAddress": ":8443", "enableClusterQueueResources": True},  # quota and use of each tenant
        "objectRetentionPolicies": {"workloads": {"afterFinished": "168h"}},
        **_devices(platform),
    }


def chart_values(platform: Platform) -> dict[str, Any]:
    """Values of chart `kueue`: the whole Configuration, and its metrics shown to our Prometheus."""
    text = json.dumps(configuration(platform), indent=2, sort_keys=True) + "\n"
    return {"enablePrometheus": True, "managerConfig": {"controllerManagerConfigYaml": text}}


def pods_ready() -> dict[str, Any]:
    """All ranks of a job start within the time, or it gives its GPUs back and waits again.

    Admission of others is not blocked meanwhile: a tenant whose image pulls slowly would stop every tenant.
    """
    return {
        "timeout": "15m",  # nodes that are scaled up, and images of many GiB
        "recoveryTimeout": "10m",  # of a rank that was lost
        "blockAdmission": False,
        "requeuingStrategy": {
            "timestamp": "Eviction",
            "backoffBaseSeconds": 60,
            "backoffMaxSeconds": 3600,
            "backoffLimitCount": 5,
        },
    }


def _devices(platform: Platform) -> dict[str, Any]:
    """Claimed devices count as the GPUs they are, so that a tenant's quota is one figure for both ways to ask."""
    classes = sorted({flavor.device_class for flavor in platform.gpu_flavors.values() if flavor.device_class})
    if not classes:
        return {}
    return {"resources": {"deviceClassMappings": [{"name": GPU, "deviceClassNames": classes}]}}
