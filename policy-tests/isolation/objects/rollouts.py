"""Roll-outs: traffic stays in the namespace, weights rise to all of it, and the GPUs of a change fit the quota (H28).

Source of the counts: argo-rollouts 1.10, utils/replicaset/canary.go: canary ceil(w*r/100); stable r, or with
dynamicStableScale ceil of what is left of the larger weight. Kueue does not see these pods; the quota does, too late.
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from math import ceil

from isolation.classes.inventory import Inventory, spec_of
from isolation.manifests.pods import Body, Pod, pods_of
from isolation.manifests.tree import Document
from isolation.objects.quotas import amount, gpu_quota
from isolation.results import CounterExample, Result

ALL = 100
_PLUGIN_KEYS = frozenset({"disableInProgressLabel", "httpRoute", "httpRoutes"})
_PROMETHEUS = "http://prometheus.monitoring.svc.cluster.local:9090"
_SELECTOR = re.compile(r"\{([^{}]*)\}")
_ARGUMENT = re.compile(r"\{\{[^{}]*\}\}")
_GPU = "nvidia.com/gpu"


def rollouts(inventory: Inventory) -> Result:
    """Services, routes and analyses of the Rollout's own namespace, which exist; weights that rise to 100."""
    documents = list(inventory.kind("Rollout"))
    faults = [
        CounterExample(document.file, fault) for document in documents for fault in _rollout_faults(inventory, document)
    ]
    claim = "roll-outs move their own namespace's traffic, in rising steps to 100"
    return Result("rollouts", claim, len(inventory.tenants) + len(documents), tuple(faults), row="H28")


def analyses(inventory: Inventory) -> Result:
    """The controller that asks reaches everything: so it asks Prometheus, about the tenant's own namespace."""
    documents = list(inventory.kind("AnalysisTemplate", "ClusterAnalysisTemplate", "AnalysisRun"))
    faults = [CounterExample(document.file, fault) for document in documents for fault in _analysis_faults(document)]
    claim = "analyses ask Prometheus only, about their own namespace only"
    return Result("analyses", claim, len(inventory.tenants) + len(documents), tuple(faults), row="H28")


def peaks(inventory: Inventory) -> Result:
    """All models of a tenant changing at once still fit its quota; pods that do not fit hang the roll-out."""
    faults = []
    for tenant in inventory.tenants:
        peak = sum((peak_gpus(inventory, each) for each in _serving(inventory, tenant)), Decimal(0))
        quota = gpu_quota(inventory, tenant)
        if peak > quota:
            faults.append(CounterExample(tenant, f"its models peak at {peak} GPUs; the quota has {quota}"))
    claim = "the GPUs of every change at once fit the tenant's quota"
    return Result("peaks", claim, len(inventory.tenants), tuple(faults), row="H28")


def peak_gpus(inventory: Inventory, document: Document) -> Decimal:
    """GPUs that the object's pods hold at most."""
    spec = spec_of(document)
    pods = list(pods_of(document))
    if document.kind == "Rollout":
        return _peak_replicas(spec, replicas=_most_replicas(inventory, document)) * _gpus(pods[0])
    if document.kind == "Experiment":
        counts = [int(each.get("replicas", 1)) for each in spec.get("templates") or ()]
        return sum((count * _gpus(pod) for count, pod in zip(counts, pods, strict=True)), Decimal(0))
    if document.kind == "RayService":
        doubled = 1 if (spec.get("upgradeStrategy") or {}).get("type") == "None" else 2  # a second cluster beside it
        return doubled * _ray_gpus(spec, pods)
    return int(spec.get("replicas", 1)) * sum((_gpus(pod) for pod in pods), Decimal(0))


def _serving(inventory: Inventory, tenant: str) -> Iterator[Document]:
    for kind in ("Rollout", "Experiment", "RayService", "Deployment", "StatefulSet"):
        yield from inventory.by_namespace.get((kind, f"{tenant}-serve"), ())


def _peak_replicas(spec: Body, *, replicas: int) -> int:
    """Pods of old and new version together, at the worst moment."""
    canary = (spec.get("strategy") or {}).get("canary")
    if canary is None:
        return 2 * replicas  # blueGreen: the old ones stay until the new ones serve
    if not canary.get("trafficRouting"):
        return replicas + _surge(canary.get("maxSurge", "25%"), replicas)
    if not canary.get("dynamicStableScale"):
        return 2 * replicas
    weights = [0, *_weights(canary), ALL]
    return max(
        ceil(after * replicas / ALL) + ceil((ALL - before) * replicas / ALL) for before, after in pairwise(weights)
    )


def _surge(surge: object, replicas: int) -> int:
    text = str(surge)
    return ceil(int(text[:-1]) * replicas / ALL) if text.endswith("%") else int(text)


def _most_replicas(inventory: Inventory, rollout: Document) -> int:
    """What Git says, or the most that an autoscaler of the Rollout may ask for."""
    scalers = [
        (spec_of(scaler), field)
        for kind, field in (("HorizontalPodAutoscaler", "maxReplicas"), ("ScaledObject", "maxReplicaCount"))
        for scaler in inventory.by_namespace.get((kind, rollout.namespace), ())
    ]
    bounds = [int(s.get(field, ALL)) for s, field in scalers if s.get("scaleTargetRef", {}).get("name") == rollout.name]
    return max([int(spec_of(rollout).get("replicas", 1)), *bounds])


def _gpus(pod: Pod) -> Decimal:
    whole = {name: amount(text) for name, text in pod.amounts("limits") if name.startswith(_GPU)}
    return sum(whole.values(), Decimal(0))


def _ray_gpus(spec: Body, pods: list[Pod]) -> Decimal:
    cluster = spec.get("rayClusterSpec") or spec.get("rayClusterConfig") or {}
    workers = [int(g.get("maxReplicas", g.get("replicas", 1))) for g in cluster.get("workerGroupSpecs") or ()]
    return sum((count * _gpus(pod) for count, pod in zip([1, *workers], pods, strict=True)), Decimal(0))


def _weights(canary: Body) -> list[int]:
    return [int(step["setWeight"]) for step in canary.get("steps") or () if "setWeight" in step]


def _rollout_faults(inventory: Inventory, document: Document) -> Iterator[str]:
    spec = spec_of(document)
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    selected = (spec.get("selector") or {}).get("matchLabels") or {}
    if not selected or any(labels.get(key) != value for key, value in selected.items()):
        yield "selects pods other than those it makes"
    if "workloadRef" in spec:
        yield "takes its pods from another object"
    strategy = spec.get("strategy") or {}
    canary, blue_green = strategy.get("canary") or {}, strategy.get("blueGreen") or {}
    yield from _weight_faults(canary)
    routing = canary.get("trafficRouting") or {}
    for name, plugin in (routing.get("plugins") or {}).items():
        if set(plugin) - _PLUGIN_KEYS:
            yield f"plugin {name} has keys {', '.join(sorted(set(plugin) - _PLUGIN_KEYS))}, which lead elsewhere"
    if set(routing) - {"istio", "managedRoutes", "maxTrafficWeight", "plugins"}:
        yield "routes traffic by a controller that is not ours"
    for kind, name in (
        *_used_services(canary, blue_green),
        *_used_routes(routing),
        *_used_analyses(canary, blue_green),
    ):
        if (kind, document.namespace, name) not in inventory.by_key:
            yield f"uses {kind} {name}, which is not in its namespace"


def _weight_faults(canary: Body) -> Iterator[str]:
    weights = _weights(canary)
    if weights and (weights != sorted(set(weights)) or weights[0] < 1 or weights[-1] != ALL):
        yield f"weights {weights} do not rise to {ALL}"
    if any("setCanaryScale" in step or "plugin" in step for step in canary.get("steps") or ()):
        yield "has steps that change the count of pods, or plugins; the peak is not that of its weights"


def _used_services(canary: Body, blue_green: Body) -> Iterator[tuple[str, str]]:
    for part, keys in ((canary, ("stableService", "canaryService")), (blue_green, ("activeService", "previewService"))):
        yield from (("Service", str(part[key])) for key in keys if key in part)


def _used_routes(routing: Body) -> Iterator[tuple[str, str]]:
    for plugin in (routing.get("plugins") or {}).values():
        names = [plugin.get("httpRoute"), *(each.get("name") for each in plugin.get("httpRoutes") or ())]
        yield from (("HTTPRoute", str(name)) for name in names if name)
    istio = routing.get("istio") or {}
    for each in (istio.get("virtualService"), *(istio.get("virtualServices") or ())):
        if each:
            yield "VirtualService", str(each.get("name"))
    if istio.get("destinationRule"):
        yield "DestinationRule", str(istio["destinationRule"].get("name"))


def _used_analyses(canary: Body, blue_green: Body) -> Iterator[tuple[str, str]]:
    found = [canary.get("analysis"), *(step.get("analysis") for step in canary.get("steps") or ())]
    found += [blue_green.get("prePromotionAnalysis"), blue_green.get("postPromotionAnalysis")]
    for analysis in found:
        for template in (analysis or {}).get("templates") or ():
            kind = "ClusterAnalysisTemplate" if template.get("clusterScope") else "AnalysisTemplate"
            yield kind, str(template.get("templateName"))


def _analysis_faults(document: Document) -> Iterator[str]:
    if document.namespace is None:
        yield "serves all namespaces; render one in the tenant's"
    spec = spec_of(document)
    if any("valueFrom" in each and "secretKeyRef" in each["valueFrom"] for each in spec.get("args") or ()):
        yield "reads a Secret"
    for metric in spec.get("metrics") or ():
        provider = metric.get("provider") or {}
        prometheus = provider.get("prometheus") or {}
        if set(provider) != {"prometheus"} or prometheus.get("address") != _PROMETHEUS:
            yield f"metric {metric.get('name')} asks something other than {_PROMETHEUS}"
        if {"authentication", "headers"} & set(prometheus):
            yield f"metric {metric.get('name')} sends credentials"
        query = _ARGUMENT.sub("", str(prometheus.get("query", "")))
        selectors = _SELECTOR.findall(query)
        own = f'namespace="{document.namespace}"'
        if not selectors or any(own not in re.split(r",\s*", selector) for selector in selectors):
            yield f"metric {metric.get('name')} asks about more than its namespace"
