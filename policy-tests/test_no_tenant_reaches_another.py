"""What the proof says, said once more flow by flow for the tenants of the repository."""

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from isolation.classes.buckets import bucket_spellings, expansions
from isolation.classes.cluster import Cluster
from isolation.classes.edges import DNS, TLS
from isolation.classes.pod_classes import CLUSTER, PodClass
from isolation.manifests.tree import Tree
from isolation.policies.identities import Identity, outside, pod
from isolation.policies.labels import ACCOUNT, NAMESPACE, NAMESPACE_LABELS, PodLabels
from isolation.policies.parsing import EGRESS, INGRESS
from isolation.policies.ports import Port
from isolation.proof import prove_tree
from isolation.verdicts.world import Dns

S3 = Port(8333, "TCP")
FORGED = st.dictionaries(
    st.sampled_from([NAMESPACE, ACCOUNT, f"{NAMESPACE_LABELS}tenon.dev/plane", "k8s-app", "app", "tenon.dev/tenant"]),
    st.sampled_from(["acme-train", "globex-train", "kube-system", "coredns", "kube-dns", "step", "router", "train"]),
)


def pods(cluster: Cluster, namespace: str, account: str) -> PodClass:
    (found,) = (c for c in cluster.classes.by_namespace[namespace] if c.account == account)
    return found


def forged(namespace: str, account: str, labels: dict[str, str], cluster: Cluster) -> Identity:
    (document,) = (d for d in cluster.tree.of_kind("Namespace") if d.name == namespace)
    made = PodLabels(
        namespace=namespace, account=account, cluster=CLUSTER, namespace_labels=document.labels, chosen=labels
    )
    return pod("forged", made.identity())


@pytest.mark.requirement("A23", "H12", "H13", "H14")
def test_the_proof_holds_for_every_ordered_pair_of_tenants(tree: Tree) -> None:
    proof = prove_tree(tree)
    assert [result.name for result in proof.broken] == []
    assert proof.pairs == len(list(permutations(proof.tenants, 2)))


@pytest.mark.requirement("A2")
@settings(max_examples=40, deadline=None)
@given(labels=FORGED)
def test_no_label_that_a_pod_forges_opens_a_flow_of_another_tenant(labels: dict[str, str], cluster: Cluster) -> None:
    intruder = forged("initech-train", "step", labels, cluster)
    for victim in (c for c in cluster.classes.of_tenants if c.role.tenant == "acme"):
        assert not cluster.open_ports(cluster.world.side(intruder, EGRESS), victim.identity)
        assert not cluster.open_ports(cluster.side(victim, INGRESS), intruder)


@pytest.mark.requirement("A20")
def test_inside_a_training_namespace_only_ranks_reach_each_other(cluster: Cluster) -> None:
    inside = cluster.classes.by_namespace["acme-train"]
    reached = {(a.account, b.account) for a in inside for b, _ in cluster.reached(a, EGRESS) if b in inside}
    assert reached == {("trainer", "trainer")}


@pytest.mark.requirement("A20")
def test_hard_isolation_keeps_a_tenants_own_jobs_apart(cluster: Cluster) -> None:
    first, second = (pods(cluster, "globex-train", f"trainer-{slot}") for slot in (0, 1))
    assert not any(cluster.world.flow(first.identity, second.identity, port).is_allowed for port in cluster.ports)


@pytest.mark.requirement("A22")
def test_nobody_dials_a_trainer_but_metrics_and_its_own_ranks(cluster: Cluster) -> None:
    callers = {
        str(other)
        for other, _ in cluster.reached(pods(cluster, "acme-train", "trainer"), INGRESS)
        if not other.identity.is_node
    }
    assert callers == {"monitoring/prometheus", "acme-train/trainer"}


@pytest.mark.requirement("A24")
def test_a_pod_of_an_account_that_no_rule_names_has_no_flow_at_all(cluster: Cluster) -> None:
    nobody = pods(cluster, "acme-train", "default")
    assert cluster.reached(nobody, EGRESS) == ()
    assert all(other.identity.is_node for other, _ in cluster.reached(nobody, INGRESS))


@pytest.mark.requirement("A25")
def test_tenants_open_exact_names_only(cluster: Cluster) -> None:
    rules = [rule for c in cluster.classes.of_tenants for rule in cluster.side(c, EGRESS).rules]
    assert not any(entry.is_pattern for rule in rules for entry in rule.server_names or ())
    sampled = outside("sampled", names=frozenset({"any-bucket.s3.amazonaws.com", "any.example"}))
    assert not any(cluster.open_ports(cluster.side(c, EGRESS), sampled) for c in cluster.classes.of_tenants)


@pytest.mark.requirement("A26")
@pytest.mark.parametrize("name", ["exfiltrated." + "a" * 60 + ".evil.example", "evil.example", "kubernetes.default"])
def test_a_name_outside_the_list_is_refused(name: str, cluster: Cluster) -> None:
    for account in ("step", "trainer"):
        side = cluster.side(pods(cluster, "acme-train", account), EGRESS)
        assert {side.name_filter(cluster.resolvers[0].identity, port).query(name) for port in DNS} == {Dns.REFUSED}


@pytest.mark.requirement("A23")
def test_no_spelling_of_another_tenants_bucket_is_answered(cluster: Cluster) -> None:
    side = cluster.side(pods(cluster, "acme-train", "trainer"), EGRESS)
    found = side.name_filter(cluster.resolvers[0].identity, DNS[0])
    for spelling in bucket_spellings(cluster.profile, "globex"):
        assert {found.query(sent) for sent in expansions(spelling, cluster.profile)} == {Dns.REFUSED}
    assert found.query("tenon-acme.storage.svc.cluster.local") is Dns.ANSWERED


@pytest.mark.requirement("A27")
def test_a_request_to_another_tenants_bucket_fails_at_the_name_and_at_both_ends(cluster: Cluster) -> None:
    for mine, other in permutations(cluster.classes.tenants, 2):
        step, gateway = pods(cluster, f"{mine}-train", "step"), pods(cluster, "storage", f"s3-{other}")
        host = f"tenon-{other}.storage.svc.cluster.local"
        answer = cluster.side(step, EGRESS).name_filter(cluster.resolvers[0].identity, DNS[0]).query(host)
        verdict = cluster.world.flow(step.identity, gateway.identity, S3)
        assert (answer, verdict.egress.is_allowed, verdict.ingress.is_allowed) == (Dns.REFUSED, False, False)
        own = pods(cluster, "storage", f"s3-{mine}")
        assert cluster.world.flow(step.identity, own.identity, S3).is_allowed


@pytest.mark.requirement("A28")
def test_on_a_shared_address_only_the_own_server_name_passes(cluster: Cluster) -> None:
    shared = outside("shared", names=frozenset({"mirror.acme.example", "mirror.initech.example"}))
    verdict = cluster.side(pods(cluster, "acme-train", "step"), EGRESS).verdict(shared, TLS)
    listed = [entry for rule in verdict.by for entry in rule.server_names or ()]
    assert verdict.is_allowed
    assert any(entry.matches("mirror.acme.example") for entry in listed)
    assert not any(entry.matches("mirror.initech.example") for entry in listed)
    assert all(rule.server_names for rule in verdict.by)
