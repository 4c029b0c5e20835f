"""Every pod that a document would make: pod specs at any depth, and the pods of Argo's workflow templates.

A pod spec is known by its shape (a mapping with a list `containers`), not by its kind, so that a kind nobody thought of
is walked too. Of a workflow template the pod is put together as Argo's controller does it: what stands at the template
wins over what stands at the workflow.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from isolation.manifests.tree import Document

Body = dict[str, Any]

WORKFLOW_KINDS = frozenset({"WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow", "Workflow"})
# Kinds whose schema has no place for a pod. The larger part of a tree, and not walked; every other kind is.
PODLESS = frozenset(
    {
        "AnalysisTemplate",
        "AppProject",
        "Application",
        "CiliumClusterwideNetworkPolicy",
        "CiliumNetworkPolicy",
        "ClusterQueue",
        "ClusterRole",
        "ClusterRoleBinding",
        "Cohort",
        "ConfigMap",
        "ExternalSecret",
        "HTTPRoute",
        "HorizontalPodAutoscaler",
        "LimitRange",
        "LocalQueue",
        "Namespace",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "PodMonitor",
        "PrometheusRule",
        "ResourceFlavor",
        "ResourceQuota",
        "Role",
        "RoleBinding",
        "ScaledObject",
        "Secret",
        "Service",
        "ServiceAccount",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    }
)
_OF_WORKFLOW = (
    "automountServiceAccountToken",
    "hostNetwork",
    "nodeSelector",
    "priorityClassName",
    "runtimeClassName",
    "securityContext",
    "serviceAccountName",
    "tolerations",
)
_LISTS = ("containers", "initContainers", "sidecars", "ephemeralContainers")


@dataclass(frozen=True, eq=False)
class Pod:
    """One pod spec. where: the place inside the document; labels: of its template.

    runs_executor: Argo's own container alone runs in it (a `resource` template).
    """

    document: Document
    where: str
    spec: Body
    labels: dict[str, str]
    runs_executor: bool = False

    def __str__(self) -> str:
        return f"{self.document.kind} {self.document.name} {self.where}".rstrip()

    @property
    def account(self) -> str:
        return str(self.spec.get("serviceAccountName") or "default")

    @property
    def containers(self) -> list[Body]:
        return [each for name in _LISTS for each in self.spec.get(name) or () if isinstance(each, dict)]

    def amounts(self, side: str) -> Iterator[tuple[str, str]]:
        """Resource and amount of each container's `requests` or `limits`."""
        for container in self.containers:
            for name, amount in ((container.get("resources") or {}).get(side) or {}).items():
                yield str(name), str(amount)


@dataclass(frozen=True, eq=False)
class Container:
    """A container of a pod, or what a TrainJob puts into one of its runtime's."""

    document: Document
    where: str
    body: Body

    def __str__(self) -> str:
        return f"{self.document.kind} {self.document.name} {self.where}".rstrip()

    @property
    def environment(self) -> Iterator[tuple[str, str | None]]:
        """Name and literal value of each variable; None where the value comes from elsewhere."""
        for entry in self.body.get("env") or ():
            value = entry.get("value")
            yield str(entry.get("name")), value if isinstance(value, str) else None

    @property
    def words(self) -> list[str]:
        """The command and its arguments."""
        return [str(word) for key in ("command", "args") for word in self.body.get(key) or ()]


def containers_of(pod: Pod) -> Iterator[Container]:
    for body in pod.containers:
        yield Container(pod.document, f"{pod.where} {body.get('name', '')}".strip(), body)


def pods_of(document: Document) -> Iterator[Pod]:
    """All pods that the document makes; none for kinds that hold no pod."""
    if document.kind in WORKFLOW_KINDS:
        yield from _workflow_pods(document)
    elif document.kind not in PODLESS:
        yield from _specs(document, document.body, where="", labels={})


def workflow_spec(document: Document) -> Body:
    """The WorkflowSpec of any of the workflow kinds."""
    spec: Body = document.body.get("spec") or {}
    return (spec.get("workflowSpec") or {}) if document.kind == "CronWorkflow" else spec


def _specs(document: Document, value: Any, *, where: str, labels: dict[str, str]) -> Iterator[Pod]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _specs(document, item, where=f"{where}[{index}]", labels=labels)
        return
    if not isinstance(value, dict):
        return
    if isinstance(value.get("containers"), list):
        yield Pod(document, where.lstrip("."), value, labels)
        return
    metadata = value.get("metadata")
    own = {**(metadata.get("labels") or {})} if isinstance(metadata, dict) and "spec" in value else labels
    for key, child in value.items():
        yield from _specs(document, child, where=f"{where}.{key}", labels=own)


def _workflow_pods(document: Document) -> Iterator[Pod]:
    spec = workflow_spec(document)
    defaults = {key: spec[key] for key in _OF_WORKFLOW if key in spec}
    labels = {**((spec.get("podMetadata") or {}).get("labels") or {})}
    for template in spec.get("templates") or ():
        made = _template_pod({**(spec.get("templateDefaults") or {}), **template}, defaults)
        if made is not None:
            volumes = [*(spec.get("volumes") or ()), *(template.get("volumes") or ())]
            where = f"template {template.get('name')}"
            yield Pod(document, where, {**made, "volumes": volumes}, labels, runs_executor="resource" in template)


def _template_pod(template: Body, defaults: Body) -> Body | None:
    """The pod of one template; None for those that only order others (`dag`, `steps`, `suspend`)."""
    mains = [template[key] for key in ("container", "script") if isinstance(template.get(key), dict)]
    mains += (template.get("containerSet") or {}).get("containers") or []
    if not mains and not {"resource", "data", "http", "plugin"} & set(template):
        return None
    own = {key: template[key] for key in (*_OF_WORKFLOW, "initContainers", "sidecars") if key in template}
    return {**defaults, **own, "containers": mains}
