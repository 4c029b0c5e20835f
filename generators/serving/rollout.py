"""A served model: the Rollout with its canary steps, and how many GPUs it holds at its peak."""

from itertools import pairwise
from typing import Any

from app.contract.models import CanaryStrategy, Serving
from generators import naming, versions
from generators.inputs.platform import Platform
from generators.inputs.tenant import Tenant
from generators.manifest import Construct, Place, Wave, manifest
from generators.serving import analysis, gateway, transformers, vllm
from generators.serving.server import START_SECONDS, Served, access_key_secret, pod, selector

SETTLE = "10m"  # at each weight that no person ends
ALL = 100
PLUGIN = "argoproj-labs/gatewayAPI"

_RUNTIMES = {"vllm": vllm.container, "transformers": transformers.container}


class ModelServing(Construct):
    """Rollout, Services, HTTPRoute and, for a canary, the AnalysisTemplate of one model record."""

    def __init__(self, scope: Construct, construct_id: str, *, tenant: Tenant, platform: Platform, model: str) -> None:
        super().__init__(scope, construct_id)
        served = Served(tenant, platform, model)
        made = [
            (rollout(served), Wave.ROLLOUT, "serving"),
            (gateway.service(served, gateway.stable_service(model)), Wave.SERVICE, "serving"),
            (gateway.service(served, gateway.canary_service(model)), Wave.SERVICE, "serving"),
            (gateway.route(served), Wave.SERVICE, "serving"),
        ]
        if served.record.serving.strategy == "canary":
            made.append((analysis.analysis_template(served), Wave.TEMPLATE, "serving.canary"))
        namespace = naming.serving_namespace(tenant.id)
        for body, wave, key in made:
            manifest(self, body, at=Place("workloads", namespace, tenant.model_key(model, key), wave))
        # Secrets' sources are the platform's to name, never the tenant's deployer's.
        key_place = Place("foundation", namespace, tenant.model_key(model), Wave.CONFIG)
        manifest(self, access_key_secret(served), at=key_place)


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
            "template": pod(served, _RUNTIMES[serving.runtime](served)),
            "strategy": blue_green(served) if serving.strategy == "blueGreen" else canary(served),
        },
    }


def canary(served: Served) -> dict[str, Any]:
    """Weights on the HTTPRoute, pods in proportion to them.

    The plugin gets no namespace: it would let one Rollout move the weights of another tenant's route.
    """
    model, strategy = served.model, served.record.serving.canary
    return {
        "canary": {
            "stableService": gateway.stable_service(model),
            "canaryService": gateway.canary_service(model),
            "dynamicStableScale": True,
            "trafficRouting": {"plugins": {PLUGIN: {"httpRoute": model}}},
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
            "activeService": gateway.stable_service(served.model),
            "previewService": gateway.canary_service(served.model),
            "autoPromotionEnabled": served.record.serving.canary.approval == "auto",
            "scaleDownDelaySeconds": 30,
        }
    }


def _share(weight: int, serving: Serving) -> int:
    """Pods that carry a weight, rounded up."""
    return -(-weight * serving.replicas // ALL)
