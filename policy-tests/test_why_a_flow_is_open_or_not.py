"""`why`: each lock with the rules behind it, and a smallest change that flips the answer when it is really made."""

from collections.abc import Callable, Iterable

import pytest
from isolation.answers.flips import Flip, flip
from isolation.answers.locks import CREDENTIALS, DNS_LOCK, SERVER_NAME, Lock
from isolation.answers.object_edits import Edit, edited
from isolation.answers.questions import QuestionError, port_of, question
from isolation.answers.why import Answer, why
from isolation.classes.cluster import Cluster, cluster_of
from isolation.manifests.tree import Document, Tree
from isolation.policies.parsing import EGRESS, INGRESS

QUESTIONS = (
    ("acme/train", "s3:globex"),
    ("acme/train", "s3:acme"),
    ("acme/train", "globex/serve"),
    ("acme/train", "mirror.acme.example"),
    ("acme/train", "pypi.org"),
    ("acme/train", "dns:pypi.org"),
    ("acme/train", "dns:mirror.acme.example"),
    ("acme/train/trainer", "acme/train/trainer"),
    ("acme/train", "ip:169.254.169.254"),
    ("acme/serve", "pypi.org:8443"),
    ("tenon-system/router", "acme/serve"),
    ("host", "acme/serve"),
    ("world", "acme/serve"),
    ("ingress", "acme/serve/model"),
    ("world", "replies.acme.models.tenon.example"),
    ("acme/train/step", "extract.globex.models.tenon.example"),
)


@pytest.fixture(scope="module")
def two(pair: Tree) -> Cluster:
    return cluster_of(pair)


def ask(cluster: Cluster, source: str, destination: str, *, port: str | None = None) -> Answer:
    return why(cluster, question(cluster, source, destination, port=port_of(port) if port else None))


def lock(answer: Answer, kind: str) -> Lock:
    """Of the first group of ways."""
    return next(each for each in answer.groups[0][0].locks if each.kind == kind)


def made(tree: Tree, change: Flip) -> Tree:
    """The tree with the edits really in its objects."""
    edits = [edit for each in change.changes for edit in each.edits]
    documents = [_changed(document, edits) for document in tree.documents]
    return Tree((*documents, *(edit.document for edit in edits if edit.is_new)))


def _changed(document: Document, edits: Iterable[Edit]) -> Document:
    own = [edit for edit in edits if edit.document is document]
    return edited(document, own) if own else document


@pytest.mark.requirement("N4")
@pytest.mark.parametrize(("source", "destination"), QUESTIONS)
def test_the_change_that_is_named_flips_the_answer_and_no_part_of_it_does(
    source: str, destination: str, pair: Tree, two: Cluster
) -> None:
    answer = ask(two, source, destination)
    change = flip(two, answer)
    assert change.changes
    assert ask(cluster_of(made(pair, change)), source, destination).is_open is not answer.is_open
    for left_out in () if change.is_single else change.changes:
        rest = Flip(tuple(each for each in change.changes if each is not left_out), change.tried)
        assert ask(cluster_of(made(pair, rest)), source, destination).is_open is answer.is_open


@pytest.mark.requirement("A27")
def test_the_way_to_a_foreign_bucket_has_four_locks_and_each_one_holds(cluster: Cluster) -> None:
    answer = ask(cluster, "acme/train", "s3:globex")
    kinds = (DNS_LOCK, EGRESS, INGRESS, CREDENTIALS)
    assert answer.outcome == "deny"
    assert [each.kind for each in answer.groups[0][0].locks] == list(kinds)
    assert not any(lock(answer, kind).is_open for kind in kinds)
    assert len(flip(cluster, answer).changes) == 3


@pytest.mark.requirement("A28")
def test_on_shared_addresses_the_server_name_is_the_lock_that_holds(aws: Tree) -> None:
    answer = ask(cluster_of(aws), "hooli/train/step", "s3:umbrella")
    assert (lock(answer, EGRESS).is_open, lock(answer, SERVER_NAME).is_open) == (True, False)
    assert lock(answer, SERVER_NAME).answer == "refused: no list has it"
    assert not lock(answer, DNS_LOCK).is_open


def test_a_service_is_asked_about_by_the_pods_and_the_port_behind_it(cluster: Cluster) -> None:
    (way, *_) = ask(cluster, "acme/train/step", "watcher.tenon-system.svc.cluster.local:8081").ways
    assert (str(way.destination), str(way.port), way.is_open) == ("tenon-system/watcher", "8081/TCP", True)
    assert [each.kind for each in way.locks] == [DNS_LOCK, EGRESS, INGRESS]


def test_a_public_host_is_asked_about_by_both_flows_on_the_way_to_the_pods_behind_it(cluster: Cluster) -> None:
    answer = ask(cluster, "world", "portal.models.tenon.example")
    assert answer.is_open
    assert {str(way.destination) for way in answer.ways} == {"tenon-system/portal"}
    kinds = {way.source.identity.name: [lock.kind for lock in way.locks] for way in answer.ways}
    assert kinds["world"] == [INGRESS, EGRESS, INGRESS]
    (way, *_) = ask(cluster, "ingress", "portal.models.tenon.example").ways
    assert [lock.kind for lock in way.locks] == [EGRESS, INGRESS]


def test_a_tenants_pods_reach_no_other_tenant_over_the_entrance_and_no_key_changes_that(cluster: Cluster) -> None:
    answer = ask(cluster, "acme/train", "extract.globex.models.tenon.example")
    assert not answer.is_open
    assert {"globex-serve/model"} <= {str(way.destination) for way in answer.ways}
    assert not any(change.key for change in flip(cluster, answer).changes)


def test_a_public_host_of_a_mesh_leads_over_its_gateways_pods(mesh: Tree) -> None:
    cluster = cluster_of(mesh)
    route = next(each for each in mesh.of_kind("VirtualService") if each.namespace == "wonka-serve")
    host = next(host for host in route.body["spec"]["hosts"] if host.endswith(".tenon.example"))
    answer = ask(cluster, "world", host)
    assert answer.is_open
    assert answer.question.through is not None
    assert answer.question.through.party.role.name == "mesh-gateway"
    assert {str(way.destination) for way in answer.ways if way.is_open} == {"wonka-serve/model"}


def test_a_change_that_joins_two_tenants_breaks_the_proof(
    pair: Tree, two: Cluster, breaks: Callable[[Tree, str], bool]
) -> None:
    joined = made(pair, flip(two, ask(two, "acme/train", "globex/serve")))
    assert breaks(joined, "apart")


def test_a_default_deny_is_named_by_the_object_that_asks_for_it(cluster: Cluster) -> None:
    found = lock(ask(cluster, "acme/train", "globex/serve"), EGRESS)
    assert found.answer == "denied by default: no rule allows it"
    assert [(rule.origin.document.kind, rule.origin.document.name) for rule in found.by] == [
        ("NetworkPolicy", "default-deny")
    ]


def test_a_deny_is_named_before_the_default(cluster: Cluster) -> None:
    found = lock(ask(cluster, "acme/train", "ip:169.254.169.254", port="80"), EGRESS)
    assert found.answer == "denied by a deny rule"
    assert {rule.origin.document.name for rule in found.by} == {"imds", "egress"}


@pytest.mark.parametrize(
    ("destination", "outcome"),
    [
        ("dns:mirror.acme.example", "answered"),
        ("dns:MIRROR.acme.example.", "answered"),
        ("dns:tenon-globex.storage.svc.cluster.local", "refused"),
    ],
)
def test_a_question_for_a_name_is_answered_with_what_becomes_of_it(
    destination: str, outcome: str, cluster: Cluster
) -> None:
    assert ask(cluster, "acme/train/step", destination).outcome == outcome


def test_a_host_in_egress_is_one_change_of_one_key_behind_two_objects(cluster: Cluster) -> None:
    (change,) = flip(cluster, ask(cluster, "acme/train", "pypi.org")).changes
    assert (change.key, change.tenant, change.host, change.is_addition) == ("egress", "acme", "pypi.org", True)
    assert {edit.document.name for edit in change.edits} == {"dns", "egress"}


def test_no_key_opens_a_name_of_the_cluster_or_of_the_store(cluster: Cluster) -> None:
    for name in ("tenon-globex.storage.svc.cluster.local", "globex.s3.eu-central-1.amazonaws.com"):
        assert flip(cluster, ask(cluster, "acme/train", f"dns:{name}")).changes
        assert not any(change.key for change in flip(cluster, ask(cluster, "acme/train", f"dns:{name}")).changes)


@pytest.mark.parametrize(
    ("source", "destination", "port", "why_not"),
    [
        ("acme", "globex/serve", None, "'acme': means nobody"),
        ("acme/foo", "globex/serve", None, "acme has no 'foo'; write acme/train or acme/serve"),
        ("nobody/train", "globex/serve", None, "tenants: acme, globex, initech"),
        ("acme/train/nope", "globex/serve", None, "known: default, executor, step, trainer"),
        ("acme/train/unknown-account", "globex/serve", None, "is not known in acme-train"),
        ("acme/train", "s3:nobody", None, "known: acme, globex, initech, models"),
        ("acme/train", "ip:300.1.1.1", None, "'300.1.1.1' is no address"),
        ("acme/train", "ip:1.1.1.1:0", None, "is not one of 1-65535"),
        ("acme/train", "ip:[fd00::1]:https", None, "is no port; write N or N/PROTOCOL"),
        ("acme/train", "dns:-.example", None, "is no host name"),
        ("acme/train", "dns:", None, "is no host name"),
        ("acme/train", "globex/serve", "80/FOO", "protocol FOO is not known"),
        ("acme/train", "globex/serve", "256/ICMP", "is not one of 0-255"),
        ("acme/train", "pypi.org:80", "443", "pypi.org:80 names its own port; leave the option out"),
        ("acme/train", "s3:globex", "443", "s3:globex names its own port; leave the option out"),
        ("host", "world", None, "neither is a pod"),
        ("acme/train", "nope.storage.svc", None, "is no Service of the tree"),
        ("acme/train", "watcher.tenon-system.svc:1", None, "has no port 1; known: 8081"),
    ],
)
def test_a_word_that_means_nobody_is_refused_with_what_is_known(
    source: str, destination: str, port: str | None, why_not: str, cluster: Cluster
) -> None:
    with pytest.raises(QuestionError, match=r".*") as refused:
        ask(cluster, source, destination, port=port)
    assert why_not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "shown"), [("443", "443/TCP"), ("53/udp", "53/UDP"), ("8/icmp", "8/ICMP"), ("128/ICMPv6", "128/ICMPv6")]
)
def test_a_port_is_a_number_with_or_without_its_protocol(text: str, shown: str) -> None:
    assert str(port_of(text)) == shown


def test_an_address_of_a_node_is_the_node_and_no_outside_address(cluster: Cluster) -> None:
    address = cluster.profile.node_ranges[0][5]
    (party,) = question(cluster, "acme/train", f"ip:{address}").destinations
    assert party.identity.labels.value("reserved", "remote-node") is not None
