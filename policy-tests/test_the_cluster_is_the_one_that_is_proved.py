"""The settings of Cilium and the profile of the cluster are those that the proof knows, and nothing beside them."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from isolation.classes.cluster import Cluster, cluster_of
from isolation.classes.profile import read_profile
from isolation.manifests.refusals import Refused
from isolation.manifests.tree import Document, Tree
from isolation.network.settings import settings

Body = dict[str, Any]
GONE = "(not there)"  # a text, since ids of tests are made of it

# `a.b` -> what stands there instead, or beside what is there
SETTINGS = [
    ("policyEnforcementMode", "never"),
    ("policyCIDRMatchMode", ["nodes"]),
    ("l7Proxy", 1),  # the chart would quote it, and no rendering writes it
    ("envoy.enabled", False),
    ("kubeProxyReplacement", False),
    ("encryption.enabled", False),
    ("encryption", GONE),
    ("dnsProxy", GONE),
    ("dnsProxy.minTtl", 3600),
    ("dnsProxy.enableTransparentMode", False),
    ("ipv6.enabled", True),
    ("gatewayAPI.enabled", False),
    ("cni.exclusive", False),  # right beside a mesh only
    ("labels", "k8s:app"),
    ("extraConfig", {"enable-policy": "never"}),
    ("extraConfig", {}),
    ("extraArgs", ["--enable-policy=never"]),
    ("k8sNetworkPolicy.enabled", False),
    ("k8sClusterNetworkPolicy.enabled", True),
    ("enableNonDefaultDenyPolicies", False),
    ("dnsPolicyUnloadOnShutdown", True),
    ("cluster.name", "eu1"),
    ("clustermesh.policyDefaultLocalCluster", False),
    ("hostFirewall.enabled", True),
    ("a.key.that.nobody.knows", 1),
    ("envoy\\.enabled", True),
]
PROFILE = [
    ("nodeRanges", [], "`nodeRanges` is empty"),
    ("nodeRanges", GONE, "`nodeRanges` is missing"),
    ("nodeRanges", "10.0.0.0/16", "`nodeRanges` is '10.0.0.0/16', no list"),
    ("nodeRanges", ["10.0.0.1/16"], "host bits set"),
    ("another", True, "`another` is no field that is understood"),
    ("storage.another", True, "`storage.another` is no field that is understood"),
    ("storage.sharedAddresses", "false", "no bool"),
    ("storage.region", "eu-central-1", "in mode inCluster"),
    ("storage.bucketPrefix", "tenon.", "no name"),
    ("storage", [], "`storage` is no mapping"),
    ("privateAddresses", ["192.168.0.0/16"], "wider than /24"),
    ("privateAddresses", ["fd00::/48"], "wider than /64"),
    ("privateAddresses", ["10.0.7.0/24"], "overlaps nodeRanges"),
    ("privateAddresses", ["169.254.169.254/32"], "machine's credentials"),
    ("apiServer.addresses", ["0.0.0.0/0"], "wider than /24"),
    ("apiServer.addresses", ["169.254.170.0/24"], "machine's credentials"),
    ("apiServer.port", 0, "apiServer.port 0 is no port"),
    ("apiServer.port", True, "no int"),
    ("dns.searchDomains", ["cluster.local", "Corp.example"], "no domain of small letters"),
    ("dns.searchDomains", [], "is empty"),
    ("dns.mode", "host", "'host' is not understood"),
    ("dns.account", "core dns", "no name"),
    ("labelFilter", ["k8s:a k8s:b"], "no text without spaces"),
    ("gpuCapacity", {"t4": "16"}, "no number of GPUs"),
    ("mesh", {"control": {"namespace": "a"}, "gateway": {}}, "is missing"),
]


def altered(path: str, value: object) -> Callable[[Body], None]:
    """A change of the one text that a ConfigMap holds."""

    def change(body: Body) -> None:
        ((key, text),) = body["data"].items()
        fields = json.loads(text)
        *parents, last = path.replace("\\.", "\0").split(".")
        holder = fields
        for parent in parents:
            holder = holder.setdefault(parent, {})
        holder[last.replace("\0", ".")] = value
        if value == GONE:
            del holder[last]
        body["data"][key] = json.dumps(fields)

    return change


def config_map(tree: Tree, name: str) -> Document:
    return tree.one("ConfigMap", "tenon-system", name)


def moved(tree: Tree, name: str, to: str, *, called: str) -> Tree:
    """The tree with a second such ConfigMap."""
    body = json.loads(json.dumps(config_map(tree, name).body))
    body["metadata"] |= {"namespace": to, "name": called}
    return Tree((*tree.documents, replace(config_map(tree, name), body=body)))


@pytest.mark.parametrize(("path", "value"), SETTINGS, ids=lambda each: str(each)[:40])
def test_a_setting_that_the_proof_does_not_know_is_a_fault(path: str, value: object, cluster: Cluster) -> None:
    tree = cluster.tree.changed(config_map(cluster.tree, "cilium-values"), altered(path, value))
    assert not settings(replace(cluster, tree=tree)).holds


@pytest.mark.parametrize(("to", "called"), [("kube-system", "cilium-values"), ("kube-system", "cilium-config")])
def test_settings_stand_in_one_place(to: str, called: str, cluster: Cluster) -> None:
    tree = moved(cluster.tree, "cilium-values", to, called=called)
    assert not settings(replace(cluster, tree=tree)).holds


@pytest.mark.parametrize(("path", "value", "why"), PROFILE, ids=lambda each: str(each)[:40])
def test_a_profile_that_is_not_understood_is_refused(path: str, value: object, why: str, tree: Tree) -> None:
    changed = tree.changed(config_map(tree, "cluster-profile"), altered(path, value))
    with pytest.raises(Refused, match=why):
        cluster_of(changed)


def test_a_tree_has_one_profile(tree: Tree) -> None:
    with pytest.raises(Refused, match="2 in the tree"):
        read_profile(moved(tree, "cluster-profile", "monitoring", called="cluster-profile"))


def test_private_addresses_that_are_named_one_by_one_are_understood(tree: Tree) -> None:
    change = altered("privateAddresses", ["172.20.1.0/28", "fd00:1::7/128"])
    assert len(read_profile(tree.changed(config_map(tree, "cluster-profile"), change)).private_addresses) == 2


@pytest.mark.parametrize("pattern", ["k8s:io[[.]", "(?P<a>k8s:.*)", "k8s:(.*.*)*!", "k8s:.*"])
def test_a_label_filter_is_names_alone_whatever_python_makes_of_it(pattern: str, cluster: Cluster) -> None:
    filtered = (pattern, *cluster.profile.label_filter[1:])
    tree = cluster.tree.changed(config_map(cluster.tree, "cilium-values"), altered("labels", " ".join(filtered)))
    found = settings(replace(cluster, tree=tree, profile=replace(cluster.profile, label_filter=filtered)))
    assert "labels drop" in str(found)
