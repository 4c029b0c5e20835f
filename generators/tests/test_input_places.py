"""Names and places: no tenant and no platform.yaml takes one that is somebody else's already."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from generators import naming
from generators.cluster.addons import addons
from generators.inputs.folder import read_inputs
from generators.inputs.reading import InputErrors
from generators.rendering import platform_files

Edit = Callable[[str, str, str], None]

LABELS = "nodeLabels: {tenon.dev/gpu: t4}"
MARK = "tenant"  # stands for an id in a pattern


def errors_of(root: Path) -> list[str]:
    with pytest.raises(InputErrors) as refused:
        read_inputs(root)
    return [str(error) for error in refused.value.errors]


@pytest.mark.parametrize(
    "name",
    [
        *("argo", "argocd", "kafka", "postgres", "storage", "monitoring", "tenon-system", "kube-system", "kube-public"),
        *("default", "strimzi", "external-secrets", "gpu-operator", "kueue-system", "acme-serve", "other-train"),
    ],
)
def test_the_gateway_has_a_namespace_of_its_own(root: Path, edit: Edit, name: str) -> None:
    edit("platform.yaml", "namespace: gateway}", f"namespace: {name}}}")
    found = [error for error in errors_of(root) if "gateway.namespace" in error]
    assert f"{name!r} is a namespace with rules of its own; choose one that the Gateway has alone" in found[0]


@pytest.mark.parametrize(
    ("old", "new", "key", "taken"),
    [
        ("name: tenon, namespace", "name: tenon-acme, namespace", "gateway.name", "tenon-acme"),
        ("namespace: gateway}", "namespace: s3-acme-x}", "gateway.namespace", "s3-acme"),
        ("prices:", "broker: {cluster: acme-train}\nprices:", "broker.cluster", "acme-train"),
    ],
)
def test_no_tenant_has_a_name_that_the_platform_chose(
    root: Path, edit: Edit, old: str, new: str, key: str, taken: str
) -> None:
    edit("platform.yaml", old, new)
    wanted = f"tenants/acme.yaml:1: 'acme' would have the name {taken}, which is platform.yaml {key}; choose another id"
    assert wanted in errors_of(root)


def test_every_flavor_has_labels_that_no_other_flavors_nodes_all_carry(root: Path, edit: Edit) -> None:
    edit("platform.yaml", LABELS, "nodeLabels: {}")
    (found,) = errors_of(root)
    assert "gpuFlavors.t4.nodeLabels: has no label, and pods of the flavor would run on every node" in found
    edit("platform.yaml", "nodeLabels: {}", "nodeLabels: {tenon.dev/gpu: h100, zone: a}")
    (found,) = errors_of(root)
    assert "gpuFlavors.h100.nodeLabels: are all labels of nodes of flavor t4 too" in found


def collisions(text: str, domain: str) -> Iterator[str]:
    """Ids with which a tenant would be named by a text of the platform."""
    for word in re.findall(r"[a-z0-9][a-z0-9-]+", text):
        parts = word.split("-")
        heads = {"-".join(parts[:number]) for number in range(1, len(parts) + 1)}
        for name in naming.derived(MARK, prefix="tenon"):
            before, _, after = name.partition(MARK)
            yield from (head[len(before) : len(head) - len(after)] for head in heads if _has(head, before, after))
    yield from re.findall(rf"([a-z0-9-]+)\.{re.escape(domain)}\b", text)
    yield from re.findall(r"(?:tenants/|tenon:|tenon\.dev/tenant[\"']?[:=] *[\"']?|project: )([a-z0-9-]+)", text)


def _has(word: str, before: str, after: str) -> bool:
    return len(word) > len(before + after) and word.startswith(before) and word.endswith(after)


def test_no_id_is_free_that_the_platforms_own_tree_names(root: Path) -> None:
    assert free_ids(root) == set()


def test_no_id_is_free_that_a_platform_of_options_names(options: Path) -> None:
    assert free_ids(options) == set()


def free_ids(root: Path) -> set[str]:
    platform = read_inputs(root).platform
    texts = {text.lower() for text in platform_files(platform).values()}
    named = {name for text in texts for name in collisions(text, platform.domain)}
    named |= {name for addon in addons(platform) for name in (addon.name, addon.namespace)}
    return {name for name in named if naming.refusal_of(name) is None}
