"""Charts of add-ons are bounded by their project and pinned by digest; each way out is noticed."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from isolation.manifests.tree import Document, Tree
from isolation.objects.charts import chart_faults

Body = dict[str, Any]
URL = "oci://mirror.example/charts/kueue"
PROJECT: Body = {
    "kind": "AppProject",
    "metadata": {"name": "addons"},
    "spec": {
        "sourceRepos": [URL],
        "destinations": [{"server": "https://kubernetes.default.svc", "namespace": "kueue-system"}],
        "destinationServiceAccounts": [{"server": "https://kubernetes.default.svc", "namespace": "kueue-system"}],
        "clusterResourceWhitelist": [{"group": "rbac.authorization.k8s.io", "kind": "ClusterRole"}],
    },
}
APPLICATION: Body = {
    "kind": "Application",
    "metadata": {"name": "addon-kueue"},
    "spec": {
        "project": "addons",
        "source": {"repoURL": URL, "targetRevision": f"sha256:{'a' * 64}", "path": ".", "helm": {"valuesObject": {}}},
        "destination": {"server": "https://kubernetes.default.svc", "namespace": "kueue-system"},
        "syncPolicy": {
            "automated": {"enabled": True, "prune": True, "selfHeal": True, "allowEmpty": False},
            "retry": {"limit": 10, "refresh": True, "backoff": {"duration": "10s", "factor": 2, "maxDuration": "5m"}},
            "syncOptions": [
                "ApplyOutOfSyncOnly=true",
                "CreateNamespace=false",
                "FailOnSharedResource=true",
                "Prune=confirm",
                "ServerSideApply=true",
            ],
        },
    },
}


def faults(*bodies: Body) -> list[str]:
    tree = Tree(tuple(Document(body["metadata"]["name"], body, {}) for body in bodies))
    return [str(fault) for fault in chart_faults(tree, {"acme-train", "acme-serve"})]


def ignore(spec: Body, entry: Body) -> None:
    spec["ignoreDifferences"] = [entry]
    spec["syncPolicy"]["syncOptions"].append("RespectIgnoreDifferences=true")


def test_a_pinned_chart_of_the_project_is_accepted() -> None:
    assert faults(PROJECT, APPLICATION) == []


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda spec: spec["destinations"].append({"namespace": "acme-train"}), "acme-train"),
        (lambda spec: spec["destinations"].append({"namespace": "*"}), "namespaces of their own"),
        (lambda spec: spec["destinationServiceAccounts"].append({"namespace": "a-*"}), "namespaces of their own"),
        (lambda spec: spec["sourceRepos"].append("oci://mirror.example/*"), "any of some"),
        (lambda spec: spec["sourceRepos"].append("https://git.example/x.git"), "no charts"),
        (lambda spec: spec["clusterResourceWhitelist"].append({"group": "", "kind": "Namespace"}), "namespaces"),
        (lambda spec: spec["clusterResourceWhitelist"].append({"group": "*", "kind": "*"}), "does not name"),
    ],
)
@pytest.mark.requirement("H29")
def test_a_wider_project_is_noticed(change: Callable[[Body], object], text: str) -> None:
    project = deepcopy(PROJECT)
    change(project["spec"])
    (found,) = faults(project, APPLICATION)
    assert text in found


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda spec: spec["source"].update(targetRevision="0.19.2"), "named by its digest"),
        (lambda spec: spec["source"].update(repoURL="oci://elsewhere.example/kueue"), "does not name it"),
        (lambda spec: spec.update(project="platform"), "in project platform"),
        (lambda spec: spec["source"]["helm"].update(fileParameters=[]), "field fileParameters"),
        (lambda spec: spec["source"].update(plugin={}), "field plugin"),
        (lambda spec: spec["source"].update(directory={"include": "*"}), "field directory"),
        (lambda spec: spec["source"].update(path="other"), "source.path is other"),
        (lambda spec: spec["syncPolicy"].update(managedNamespaceMetadata={}), "field managedNamespaceMetadata"),
        (lambda spec: spec["syncPolicy"]["syncOptions"].append("Replace=true"), "Replace=true"),
        (lambda spec: spec["destination"].update(namespace="acme-train"), "goes to acme-train"),
        (lambda spec: spec["destination"].update(name="elsewhere"), "field name"),
        (lambda spec: ignore(spec, {"group": "", "kind": "Namespace"}), "lets Namespace differ"),
    ],
)
@pytest.mark.requirement("H29")
def test_a_chart_that_is_not_pinned_or_not_of_the_project_is_noticed(
    change: Callable[[Body], object], text: str
) -> None:
    application = deepcopy(APPLICATION)
    change(application["spec"])
    (found,) = faults(PROJECT, application)
    assert text in found
