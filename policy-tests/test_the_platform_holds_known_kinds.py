"""The platform's own folder holds kinds of a list, in namespaces of the tree; one object beside these is noticed."""

from dataclasses import replace
from typing import Any

import pytest
from isolation.manifests.tree import Tree
from isolation.objects.ownership import kinds
from mutants.mutant import inventory_of

Body = dict[str, Any]
DEPLOYMENT = ("apps/v1", "Deployment", "tenon-system", "foundation")

STRANGE = [
    ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", None, "foundation"),
    ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", None, "ground"),
    ("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinition", "tenon-system", "foundation"),  # an interface of its own
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition", None, "foundation"),
    ("apiregistration.k8s.io/v1", "APIService", None, "foundation"),
    ("discovery.k8s.io/v1", "EndpointSlice", "tenon-system", "foundation"),
    ("networking.istio.io/v1", "EnvoyFilter", "gateway", "foundation"),
    ("v1", "Pod", "tenon-system", "foundation"),
    ("apps/v1", "DaemonSet", "tenon-system", "foundation"),
    ("example.com/v1", "Foo", "tenon-system", "foundation"),
    ("example.com/v1", "Deployment", "tenon-system", "foundation"),
    ("apps/v1", "Deployment", "tenon-system", "ground"),
    ("apps/v1", "Deployment", None, "foundation"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole", "tenon-system", "foundation"),
    ("apps/v1", "Deployment", "kube-system", "foundation"),
]


def with_one_more(tree: Tree, *, api_version: str, kind: str, namespace: str | None, part: str) -> Tree:
    """The tree with one more object in a part of the platform's folder."""
    place = ("platform", part, namespace or "_cluster", "new.yaml")
    metadata: Body = {"name": "new", **({"namespace": namespace} if namespace else {})}
    body = {"apiVersion": api_version, "kind": kind, "metadata": metadata}
    return Tree((*tree.documents, replace(tree.documents[0], file="/".join(place), place=place, body=body)))


@pytest.mark.parametrize(("api_version", "kind", "namespace", "part"), STRANGE)
def test_an_object_of_the_platform_that_is_not_on_the_list_is_noticed(
    api_version: str, kind: str, namespace: str | None, part: str, pair: Tree
) -> None:
    tree = with_one_more(pair, api_version=api_version, kind=kind, namespace=namespace, part=part)
    assert [fault.who.rpartition("/")[2] for fault in kinds(inventory_of(tree)).broken] == ["new.yaml"]


def test_an_object_of_the_platform_that_is_on_the_list_is_none(pair: Tree) -> None:
    api_version, kind, namespace, part = DEPLOYMENT
    tree = with_one_more(pair, api_version=api_version, kind=kind, namespace=namespace, part=part)
    assert kinds(inventory_of(tree)).holds
