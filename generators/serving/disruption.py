"""How many servers a node's drain may take at one time."""

from typing import Any

from generators import naming, versions
from generators.serving.server import Served, selector


def budget(served: Served) -> dict[str, Any]:
    """PodDisruptionBudget: one at a time. A least number would let a drain wait for ever on a single replica."""
    return {
        "apiVersion": versions.DISRUPTION,
        "kind": "PodDisruptionBudget",
        "metadata": {"name": served.name, "labels": naming.labels(served.tenant.id)},
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": selector(served.name)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
