"""The proof holds for the choices of platform.yaml that no tree of options makes, and asks what they change."""

import shutil
from pathlib import Path

import pytest
from controlplane.trees import INPUTS, REPOSITORY
from isolation.classes.cluster import Cluster, cluster_of
from isolation.manifests.tree import read_tree
from isolation.proof import INVARIANTS

CHANGES = {
    "dns: {mode: pods,": "dns: {mode: node,",
    "apiServer: {port: 6443}": "apiServer: {port: 443, addresses: [10.3.4.5/32]}",
}


@pytest.fixture(scope="module")
def on_nodes(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """The sample with its DNS cache on the nodes and its API server at a private address."""
    from generators.rendering import write

    root = tmp_path_factory.mktemp("on-nodes")
    for name in ("images.lock", "charts.lock"):
        shutil.copy(REPOSITORY / name, root / name)
    text = (INPUTS["sample"] / "platform.yaml").read_text(encoding="utf-8")
    for old, new in CHANGES.items():
        assert old in text
        text = text.replace(old, new)
    (root / "platform.yaml").write_text(text, encoding="utf-8")
    shutil.copytree(INPUTS["sample"] / "tenants", root / "tenants")
    write(Path(root))
    (folder,) = (root / "rendered").iterdir()
    return cluster_of(read_tree(folder))


def test_every_invariant_holds_with_the_dns_cache_and_the_api_server_elsewhere(on_nodes: Cluster) -> None:
    broken = [fault for ask in INVARIANTS for fault in ask(on_nodes).broken]
    assert broken == []


def test_a_cache_on_the_node_is_asked_wherever_the_api_server_runs(on_nodes: Cluster, cluster: Cluster) -> None:
    assert [str(party) for party in on_nodes.resolvers] == ["host", "host with the API server"]
    assert [str(party) for party in cluster.resolvers] == ["kube-system/coredns"]
