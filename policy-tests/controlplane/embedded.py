"""Objects and pods that stand inside other objects: the server checks them only when a controller makes them.

An object inside a workflow's resource template is a string; a pod inside a JobSet is a field whose security context
nobody looks at. Both are taken out here, as their controllers would make them, so that the server can be asked first.
What Argo's controller adds to a pod (its own init and wait containers) is not added.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from controlplane.documents import Document, document

_WORKFLOWS = {"Workflow": (), "WorkflowTemplate": (), "ClusterWorkflowTemplate": (), "CronWorkflow": ("workflowSpec",)}
_PLACEHOLDER = re.compile(r"\{\{-?=?\s*([^}]*?)\s*\}\}")
_NAMES = {"workflow.name": "ft-0123456789abcdef-a1", "workflow.uid": "00000000-0000-4000-8000-000000000000"}
_ANYTHING = "1"  # valid as a number, as text in quotes and as part of a name

# Fields that Argo takes from the workflow's spec into the pod of each template; a template's own come first.
_POD_FIELDS = {
    "affinity": "affinity",
    "automountServiceAccountToken": "automountServiceAccountToken",
    "dnsConfig": "dnsConfig",
    "dnsPolicy": "dnsPolicy",
    "hostNetwork": "hostNetwork",
    "imagePullSecrets": "imagePullSecrets",
    "nodeSelector": "nodeSelector",
    "podPriorityClassName": "priorityClassName",
    "priorityClassName": "priorityClassName",
    "schedulerName": "schedulerName",
    "securityContext": "securityContext",
    "serviceAccountName": "serviceAccountName",
    "tolerations": "tolerations",
}


def embedded(outer: Document) -> Iterator[Document]:
    """Every object and pod inside, at any depth; objects inside workflows with their parameters filled in."""
    for path, template in _pod_templates(outer.body, ()):
        yield _pod(outer, template, at=".".join(path))
    if outer.body["kind"] in _WORKFLOWS:
        for inner in _of_workflow(outer):
            yield inner
            yield from embedded(inner)


def _pod_templates(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Whatever has `spec.containers`, as a pod template has in every kind that we know."""
    if isinstance(value, Mapping):
        spec = value.get("spec")
        if path and isinstance(spec, Mapping) and isinstance(spec.get("containers"), list):
            yield path, value
        for key, child in value.items():
            yield from _pod_templates(child, (*path, str(key)))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _pod_templates(child, (*path, str(index)))


def _of_workflow(outer: Document) -> Iterator[Document]:
    spec = outer.body["spec"]
    for key in _WORKFLOWS[outer.body["kind"]]:
        spec = spec[key]
    values = _parameters(spec)
    for template in spec.get("templates", ()):
        at = f"templates.{template['name']}"
        if manifest := template.get("resource", {}).get("manifest"):
            yield _placed(Document(f"{outer.origin} {at}", filled(manifest, values)), outer.namespace)
        elif containers := _containers(template):
            yield _pod(
                outer, {"metadata": spec.get("podMetadata", {}), "spec": _pod_spec(spec, template, containers)}, at=at
            )


def filled(text: str, values: Mapping[str, str]) -> str:
    """A template's text with its placeholders replaced, as the workflow controller would replace them."""
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], _ANYTHING), text)


def _parameters(spec: Mapping[str, Any]) -> dict[str, str]:
    """Names as they stand between braces -> a value that the parameter may have."""
    made = dict(_NAMES)
    for each in spec.get("arguments", {}).get("parameters", ()):
        allowed = each.get("enum") or [each.get("value", each.get("default", _ANYTHING))]
        made[f"workflow.parameters.{each['name']}"] = str(allowed[0])
    return made


def _containers(template: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The containers of a template that becomes a pod; none for a DAG, steps or a suspension."""
    own = template.get("container") or template.get("script")
    if own:
        main = {key: value for key, value in own.items() if key != "source"}
        return [{"name": "main", **main}, *template.get("sidecars", ())]
    return [dict(each) for each in template.get("containerSet", {}).get("containers", ())]


def _pod_spec(spec: Mapping[str, Any], template: Mapping[str, Any], containers: list[dict[str, Any]]) -> dict[str, Any]:
    taken = {to: source[key] for source in (spec, template) for key, to in _POD_FIELDS.items() if key in source}
    bare = [
        {key: value for key, value in each.items() if key not in ("dependencies", "mirrorVolumeMounts")}
        for each in containers
    ]
    made = {
        **taken,
        "restartPolicy": "Never",
        "containers": bare,
        "volumes": [*spec.get("volumes", ()), *template.get("volumes", ())],
    }
    return made | ({"initContainers": template["initContainers"]} if "initContainers" in template else {})


def _pod(outer: Document, template: Mapping[str, Any], *, at: str) -> Document:
    metadata = {key: value for key, value in template.get("metadata", {}).items() if key in ("labels", "annotations")}
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**metadata, "name": "inside", "namespace": outer.namespace},
        "spec": {**template["spec"], "volumes": [*template["spec"].get("volumes", ()), *_claimed(outer)]},
    }
    return document(body, f"{outer.origin} pod at {at}")


def _claimed(outer: Document) -> list[dict[str, Any]]:
    """The volumes that a StatefulSet's controller adds, one for each of its claims."""
    claims = outer.body["spec"].get("volumeClaimTemplates", ()) if outer.body["kind"] == "StatefulSet" else ()
    names = [claim["metadata"]["name"] for claim in claims]
    return [{"name": name, "persistentVolumeClaim": {"claimName": f"{name}-inside"}} for name in names]


def _placed(inner: Document, namespace: str | None) -> Document:
    """A resource template names no namespace: its object is made in the workflow's own."""
    if inner.namespace is not None:
        return inner
    body = {**inner.body, "metadata": {**inner.body["metadata"], "namespace": namespace}}
    return document(body, inner.origin)
