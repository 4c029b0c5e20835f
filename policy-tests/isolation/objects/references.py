"""Names that must lead somewhere. The API server takes a name of what is not there; the pod, the job or the
controller then waits for it without end (B40).
"""

import json
from collections.abc import Iterator
from typing import Any

from isolation.classes.inventory import Inventory, spec_of, tenant_of
from isolation.manifests.pods import Body, Pod
from isolation.manifests.tree import Document
from isolation.results import CounterExample, Result

_QUEUE, _PRIORITY = "kueue.x-k8s.io/queue-name", "kueue.x-k8s.io/priority-class"
_SELECTING = ("Service", "PodDisruptionBudget", "PodMonitor")
_SLOT = "-{{workflow.parameters.slot}}"
_DIRECTORY = "directory-"
_OF_KUBERNETES = ("ConfigMap", "kube-root-ca.crt")  # published in every namespace
# Kind -> what it refers to, and where below `spec` the name stands.
_PATHS: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "ClusterQueue": (
        ("ResourceFlavor", ("resourceGroups", "flavors", "name")),
        ("Cohort", ("cohortName",)),
    ),
    "Cohort": (("ResourceFlavor", ("resourceGroups", "flavors", "name")), ("Cohort", ("parentName",))),
    "CronWorkflow": (("WorkflowTemplate", ("workflowSpec", "workflowTemplateRef", "name")),),
    "Experiment": (("AnalysisTemplate", ("analyses", "templateName")),),
    "LocalQueue": (("ClusterQueue", ("clusterQueue",)),),
    "TrainJob": (("TrainingRuntime", ("runtimeRef", "name")),),
}
_OF_CLUSTER = frozenset({"ClusterQueue", "Cohort", "ResourceFlavor"})

Reference = tuple[str, str | None, str]  # kind, namespace, name


def references(inventory: Inventory) -> Result:
    """Accounts, Secrets, ConfigMaps, templates, queues, flavors, classes, runtimes, scale targets: all of one tree."""
    faults, asked = [], 0
    for file, reference in _all_references(inventory):
        asked += 1
        if not _is_there(inventory, reference):
            kind, namespace, name = reference
            faults.append(CounterExample(file, f"refers to {kind} {namespace or ''}/{name}, which is not rendered"))
    for job in (each for each in inventory.nested if each.kind == "TrainJob"):
        asked += 1
        if not _has_account(inventory, job):
            faults.append(CounterExample(job.file, f"{job.name} and its runtime name no account, or two"))
    return Result("references", "every name leads to an object of the tree", asked, tuple(faults))


def selections(inventory: Inventory) -> Result:
    """A selector that matches no pod serves, protects or measures nothing, and says so nowhere."""
    labels: dict[str | None, list[dict[str, str]]] = {}
    for pod in inventory.pods:
        labels.setdefault(pod.document.namespace, []).append(pod.labels)
    documents = [
        each
        for each in inventory.tree.of_kind(*_SELECTING)
        if each.namespace in inventory.namespaces or tenant_of(each) is not None
    ]
    faults = []
    for document in documents:
        wanted = _selector(document)
        found = labels.get(document.namespace, [])
        if wanted and not any(wanted.items() <= each.items() for each in found) and not _of_controller(document):
            faults.append(CounterExample(document.file, f"{document.kind} {document.name} selects no pod of the tree"))
    asked = len(inventory.tenants) + len(documents)
    return Result("selections", "every selector of pods finds pods of the tree", asked, tuple(faults))


def _all_references(inventory: Inventory) -> Iterator[tuple[str, Reference]]:
    for pod in inventory.pods:
        for reference in _of_pod(pod):
            yield pod.document.file, reference
    for document in inventory.objects:
        for reference in _of_object(document):
            yield document.file, reference


def _of_pod(pod: Pod) -> Iterator[Reference]:
    namespace = pod.document.namespace
    if "serviceAccountName" in pod.spec:
        yield "ServiceAccount", namespace, pod.account
    for container in pod.containers:
        for source in (*_values(container.get("env"), "valueFrom"), *(container.get("envFrom") or ())):
            yield from _of_source(
                source, namespace, keys=("secretKeyRef", "secretRef", "configMapKeyRef", "configMapRef")
            )
    for volume in pod.spec.get("volumes") or ():
        projected = (volume.get("projected") or {}).get("sources") or ()
        for source in (volume, *projected):
            yield from _of_source(source, namespace, keys=("secret", "configMap"))
    for claim in pod.spec.get("resourceClaims") or ():
        if "resourceClaimTemplateName" in claim:
            yield "ResourceClaimTemplate", namespace, str(claim["resourceClaimTemplateName"])


def _of_source(source: Body, namespace: str | None, *, keys: tuple[str, ...]) -> Iterator[Reference]:
    for key in keys:
        reference = source.get(key)
        if isinstance(reference, dict) and not reference.get("optional"):
            kind = "Secret" if key.startswith("secret") else "ConfigMap"
            yield kind, namespace, str(reference.get("name") or reference.get("secretName"))


def _of_object(document: Document) -> Iterator[Reference]:
    spec, namespace = spec_of(document), document.namespace
    if queue := document.labels.get(_QUEUE):
        yield "LocalQueue", namespace, queue
    if priority := document.labels.get(_PRIORITY):
        yield "WorkloadPriorityClass", None, priority
    for kind, path in _PATHS.get(document.kind, ()):
        yield from ((kind, None if kind in _OF_CLUSTER else namespace, name) for name in _at(spec, path))
    if document.kind in {"HorizontalPodAutoscaler", "ScaledObject"}:
        target = spec.get("scaleTargetRef") or {}
        yield str(target.get("kind", "Deployment")), namespace, str(target.get("name"))
    if document.kind == "ConfigMap" and document.name.startswith(_DIRECTORY) and tenant_of(document):
        yield from _of_directory(document)


def _at(value: Any, path: tuple[str, ...]) -> Iterator[str]:
    """Texts at the path; a list on the way is all its items, and what is absent is nothing."""
    if isinstance(value, list):
        for item in value:
            yield from _at(item, path)
    elif path and isinstance(value, dict):
        yield from _at(value.get(path[0]), path[1:])
    elif not path and value is not None:
        yield str(value)


def _of_directory(document: Document) -> Iterator[Reference]:
    """The templates that the dispatcher will name."""
    for text in (document.body.get("data") or {}).values():
        entry = json.loads(text)
        for key in ("workflowTemplates", "searchTemplates"):
            for name in (entry.get(key) or {}).values():
                yield "WorkflowTemplate", entry.get("trainingNamespace"), str(name)


def _is_there(inventory: Inventory, reference: Reference) -> bool:
    kind, namespace, name = reference
    if (kind, name) == _OF_KUBERNETES:
        return True
    if kind == "Secret":
        return reference in inventory.by_key or name in _external(inventory, namespace)
    if kind == "ServiceAccount" and name.endswith(_SLOT):
        return (kind, namespace, name.replace(_SLOT, "-0")) in inventory.by_key
    return reference in inventory.by_key


def _external(inventory: Inventory, namespace: str | None) -> set[str]:
    """Secrets that the External Secrets operator makes in the namespace."""
    found = inventory.by_namespace.get(("ExternalSecret", namespace), ())
    return {str((spec_of(each).get("target") or {}).get("name") or each.name) for each in found}


def _has_account(inventory: Inventory, job: Document) -> bool:
    """By its runtime or by a patch of its own, not by both."""
    name = str((spec_of(job).get("runtimeRef") or {}).get("name"))
    runtime = inventory.by_key.get(("TrainingRuntime", job.namespace, name))
    return runtime is not None and len([*_accounts(runtime.body), *_accounts(spec_of(job))]) == 1


def _accounts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "serviceAccountName" in value:
            yield str(value["serviceAccountName"])
        for child in value.values():
            yield from _accounts(child)
    elif isinstance(value, list):
        for child in value:
            yield from _accounts(child)


def _values(entries: Any, key: str) -> list[Body]:
    return [entry[key] for entry in entries or () if isinstance(entry.get(key), dict)]


def _selector(document: Document) -> dict[str, str]:
    selector = spec_of(document).get("selector") or {}
    return dict(selector) if document.kind == "Service" else dict(selector.get("matchLabels") or {})


def _of_controller(document: Document) -> bool:
    """Selects by a label that a controller puts on, which no template shows."""
    return any(key.startswith(("ray.io/", "jobset.sigs.k8s.io/", "strimzi.io/")) for key in _selector(document))
