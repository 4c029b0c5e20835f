"""A served model: the Rollout with its canary steps, and how many GPUs it holds at its peak."""

from itertools import pairwise
from typing import Any

from app.contract.models import CanaryStrategy, Serving
from generators import naming, versions
from generators.serving import analysis, services, traffic
from generators.serving.runtimes import runtime
from generators.serving.server import START_SECONDS, Served, pod, selector

SETTLE = "10m"  # at each weight that no person ends
ALL = 100


def rollout_steps(strategy: CanaryStrategy) -> list[dict[str, Any]]:
    """Argo Rollouts steps of the weights.

    `manual` waits for a person after the first weight and before 100 %; the other weights settle for a while.
    The analysis runs beside them and may end or hold the roll-out at any time.
    """
    steps: list[dict[str, Any]] = []
    *partial, last = strategy.weights
    for weight in partial:
        by_person = strategy.approval == "manual" and weight in {partial[0], partial[-1]}
        steps += [{"setWeight": weight}, {"pause": {} if by_person else {"duration": SETTLE}}]
    return [*steps, {"setWeight": last}]


def peak_pods(serving: Serving) -> int:
    """Most pods at one time while a version is rolled out without an abort.

    Source: Argo Rollouts 1.9, utils/replicaset/canary.go, with dynamicStableScale: the canary grows to a weight before
    the stable version shrinks from the one before. An aborted canary shrinks as fast as the stable version grows.
    """
    if serving.strategy == "blueGreen":
        return 2 * serving.replicas
    weights = (0, *serving.canary.weights)
    return max(_share(weight, serving) + _share(ALL - before, serving) for before, weight in pairwise(weights))


def peak_gpus(serving: Serving) -> int:
    """GPUs of that peak; the serving quota must hold it (DESIGN D8)."""
    return peak_pods(serving) * serving.gpus_per_replica


def rollout(served: Served) -> dict[str, Any]:
    """The Rollout. Another version in the record changes its pod template, and that starts the canary."""
    serving = served.record.serving
    return {
        "apiVersion": versions.ARGO,
        "kind": "Rollout",
        "metadata": {"name": served.model, "labels": naming.labels(served.tenant.id)},
        "spec": {
            "replicas": serving.replicas,
            "revisionHistoryLimit": 2,
            "minReadySeconds": 10,
            "progressDeadlineSeconds": 2 * START_SECONDS,  # image and weights are large
            "progressDeadlineAbort": True,
            "rollbackWindow": {"revisions": 2},  # a reverted commit does not go through the steps again
            "selector": {"matchLabels": selector(served.model)},
            "template": pod(served, runtime(served).container(served)),
            "strategy": blue_green(served) if serving.strategy == "blueGreen" else canary(served),
        },
    }


def canary(served: Served) -> dict[str, Any]:
    """Weights on the route, pods in proportion to them."""
    model, strategy = served.model, served.record.serving.canary
    return {
        "canary": {
            "stableService": services.stable_service(model),
            "canaryService": services.canary_service(model),
            "dynamicStableScale": True,
            "trafficRouting": traffic.router(served).routing(served),
            "analysis": {
                "templates": [{"templateName": model}],
                "startingStep": 1,  # with the first weight set
                "args": analysis.arguments(),
            },
            "steps": rollout_steps(strategy),
        }
    }


def blue_green(served: Served) -> dict[str, Any]:
    """The new version stands whole beside the old one until it is promoted."""
    return {
        "blueGreen": {
            "activeService": services.stable_service(served.model),
            "previewService": services.canary_service(served.model),
            "autoPromotionEnabled": served.record.serving.canary.approval == "auto",
            "scaleDownDelaySeconds": 30,
        }
    }


def _share(weight: int, serving: Serving) -> int:
    """Pods that carry a weight, rounded up."""
    return -(-weight * serving.replicas // ALL)
