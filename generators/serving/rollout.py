"""The Rollout of a model, and how many GPUs its servers hold at their peak."""

from itertools import pairwise
from typing import Any

from app.contract.models import CanaryStrategy, Serving
from generators import naming, versions
from generators.serving import analysis, traffic
from generators.serving.runtimes import runtime
from generators.serving.server import START_SECONDS, Served, selector
from generators.serving.services import canary_service, stable_service

SETTLE = "10m"  # at each weight that no person ends
ALL = 100
SWITCH_SECONDS = 60  # the old servers stay this long after a switch, so that no gateway sends to one that is gone
ABORT_SECONDS = 600  # an aborted blue-green version stays this long for a look at its logs


def rollout(served: Served) -> dict[str, Any]:
    """The Rollout. Another version in the record changes its pod template, and that starts the roll-out.

    No rollbackWindow: it takes all weights at once, and its twice as many pods would wait for ever in a quota that
    holds the peak of the weights (Argo Rollouts 1.10, rollout/canary.go). A reverted commit goes through the weights.
    """
    serving = served.record.serving
    replicas = {} if serving.autoscale and not served.part else {"replicas": _replicas(served)}
    return {
        "apiVersion": versions.ARGO,
        "kind": "Rollout",
        "metadata": {"name": served.name, "labels": naming.labels(served.tenant.id)},
        "spec": {
            **replicas,
            "revisionHistoryLimit": 2,
            "minReadySeconds": 10,
            "progressDeadlineSeconds": 2 * START_SECONDS,  # image and weights are large
            "progressDeadlineAbort": True,
            "selector": {"matchLabels": selector(served.name)},
            "template": runtime(served).template(served),
            "strategy": _strategy(served),
        },
    }


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


def canary(served: Served) -> dict[str, Any]:
    """Weights on the route, pods in proportion to them.

    No scaleDownDelaySeconds, which Rollouts refuses beside dynamicStableScale, and no abortScaleDownDelaySeconds, which
    keeps an aborted canary's pods while the stable version grows back: more than the peak. Without it the canary
    shrinks as its traffic goes back. maxSurge and maxUnavailable count no pods where traffic is routed.
    """
    return {
        "canary": {
            "stableService": stable_service(served.model),
            "canaryService": canary_service(served.model),
            "dynamicStableScale": True,
            "trafficRouting": traffic.router(served).routing(served),
            # from the first weight on
            "analysis": {**analysis.reference(analysis.comparison(served.model)), "startingStep": 1},
            "steps": rollout_steps(served.record.serving.canary),
        }
    }


def blue_green(served: Served) -> dict[str, Any]:
    """The new version stands whole beside the old one until it is promoted, and until it has proved itself."""
    return {
        "blueGreen": {
            "activeService": stable_service(served.model),
            "previewService": canary_service(served.model),
            "autoPromotionEnabled": served.record.serving.canary.approval == "auto",
            "prePromotionAnalysis": analysis.reference(analysis.preview(served.model)),
            "postPromotionAnalysis": analysis.reference(analysis.active(served.model)),
            "scaleDownDelaySeconds": SWITCH_SECONDS,
            "scaleDownDelayRevisionLimit": 1,
            "abortScaleDownDelaySeconds": ABORT_SECONDS,
        }
    }


def in_place(served: Served) -> dict[str, Any]:
    """One server after the other is replaced, and no GPU is needed beside those that serve.

    With one replica nothing answers while its successor loads. Both versions are in every new server; the router, not
    this Rollout, raises the share of the canary.
    """
    services = {"stableService": stable_service(served.model), "canaryService": canary_service(served.model)}
    return {"canary": {**services, "maxSurge": 0, "maxUnavailable": 1}}


def one_by_one() -> dict[str, Any]:
    """A new server stands before an old one goes: arm b, whose version changes by pull request alone."""
    return {"canary": {"maxSurge": 1, "maxUnavailable": 0}}


def peak_pods(serving: Serving) -> int:
    """Most pods at one time while a version is rolled out, aborted or not, with arm b and experiment beside it.

    Source: Argo Rollouts 1.10, utils/replicaset/canary.go, with dynamicStableScale: the canary grows to a weight before
    the stable version shrinks from the one before. An abort goes the same way back. `promoteFull` would need twice the
    replicas; the promote right does not give it.
    """
    return max(_pods_of_versions(serving).values()) + sum(_pods_beside(serving).values())


def peak_gpus(serving: Serving) -> int:
    """GPUs of that peak; the serving quota must hold it (DESIGN D8)."""
    return peak_pods(serving) * serving.gpus_per_replica


def peak_step(serving: Serving) -> str:
    """When the peak is reached, as a refusal says it: the first step that has so many, and what stands beside it."""
    pods = _pods_of_versions(serving)
    first = max(pods, key=lambda step: pods[step])
    return " and ".join([first, *(f"beside {what}" for what in _pods_beside(serving))])


def _pods_of_versions(serving: Serving) -> dict[str, int]:
    """Pods of old and new version together, at each step of a roll-out."""
    if serving.strategy == "blueGreen":
        return {"while both versions stand": 2 * serving.most_replicas}
    if serving.canary.level == "adapter":
        return {"at every step": serving.most_replicas}
    weights = (0, *serving.canary.weights)
    return {
        f"at weight {weight}": _share(weight, serving) + _share(ALL - before, serving)
        for before, weight in pairwise(weights)
    }


def _pods_beside(serving: Serving) -> dict[str, int]:
    """Pods that are no part of the roll-out."""
    pods = {"arm b": serving.ab.replicas + 1} if serving.ab else {}  # one more while arm b is replaced
    return {**pods, "its experiment": 2 * serving.experiment.replicas} if serving.experiment else pods


def _share(weight: int, serving: Serving) -> int:
    """Pods that carry a weight, rounded up."""
    return -(-weight * serving.most_replicas // ALL)


def _replicas(served: Served) -> int:
    ab = served.record.serving.ab
    return ab.replicas if served.part == "b" and ab else served.record.serving.replicas


def _strategy(served: Served) -> dict[str, Any]:
    serving = served.record.serving
    if served.part == "b":
        return one_by_one()
    if serving.strategy == "blueGreen":
        return blue_green(served)
    return in_place(served) if serving.canary.level == "adapter" else canary(served)
