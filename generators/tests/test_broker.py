"""The broker: who may do what with which topic, and that what is rendered fits together."""

import re
from typing import Any

import pytest
import yaml

from app.contract.internal import DEAD_LETTER_TOPIC, DISPATCHER_GROUP, JOBS_TOPIC, RETRY_TOPICS
from generators import naming
from generators.cluster import flows
from generators.cluster.broker import BROKER_PORT, CLIENTS, USERS, PlatformBroker, bootstrap, kafka, listener
from generators.policies import ACCOUNT, NAMESPACE
from generators.tests.conftest import REPOSITORY
from generators.tests.samples import made, platform, sample_platform
from generators.versions import KAFKA_RELEASE

Body = dict[str, Any]
KAFKA, SYSTEM = naming.BROKER_NAMESPACE, naming.SYSTEM_NAMESPACE


@pytest.fixture(scope="module")
def objects() -> dict[tuple[str, str, str], Body]:
    return made(PlatformBroker, platform=platform())


def rights(user: str) -> set[tuple[str, str, str]]:
    (found,) = [each for each in USERS if each.name == user]
    return {
        (acl["resource"]["type"], acl["resource"]["name"], each) for acl in found.acls for each in acl["operations"]
    }


def test_ingest_writes_jobs_and_reads_nothing() -> None:
    assert rights("ingest") == {("topic", JOBS_TOPIC, "Describe"), ("topic", JOBS_TOPIC, "Write")}


def test_the_dispatcher_reads_jobs_and_only_adds_to_what_is_set_aside() -> None:
    assert rights("dispatcher") == {
        ("topic", JOBS_TOPIC, "Describe"),
        ("topic", JOBS_TOPIC, "Read"),
        ("group", DISPATCHER_GROUP, "Read"),
        *(("topic", name, each) for name in RETRY_TOPICS for each in ("Describe", "Read", "Write")),
        ("topic", DEAD_LETTER_TOPIC, "Describe"),
        ("topic", DEAD_LETTER_TOPIC, "Write"),
    }


def test_a_failed_message_finds_every_topic_of_its_way(objects: dict[tuple[str, str, str], Body]) -> None:
    made = {name for (_, kind, name) in objects if kind == "KafkaTopic"}
    assert made == {JOBS_TOPIC, *RETRY_TOPICS, DEAD_LETTER_TOPIC}


def test_every_right_names_its_topic_or_group_exactly(objects: dict[tuple[str, str, str], Body]) -> None:
    users = [body for (_, kind, _), body in objects.items() if kind == "KafkaUser"]
    topics = {name for (_, kind, name) in objects if kind == "KafkaTopic"}
    for acl in (acl for user in users for acl in user["spec"]["authorization"]["acls"]):
        assert acl["resource"]["patternType"] == "literal"
        assert acl["resource"]["type"] == "group" or acl["resource"]["name"] in topics


def test_no_tenant_has_a_user() -> None:
    assert set(CLIENTS) == {"ingest", "dispatcher"}


def test_only_services_with_a_user_reach_the_broker() -> None:
    (policy,) = [body for body in flows.brokers(platform()) if body["metadata"]["name"] == "brokers"]
    peers = [
        (peer["matchLabels"][NAMESPACE], peer.get("matchExpressions", [{}])[0].get("values"))
        for rule in policy["spec"]["ingress"]
        for peer in rule["fromEndpoints"]
        if rule.get("toPorts", [{}])[0].get("ports") == [{"port": str(BROKER_PORT), "protocol": "TCP"}]
    ]
    assert peers == [(SYSTEM, list(CLIENTS))]


def test_policies_name_the_accounts_that_strimzi_makes() -> None:
    other = sample_platform(broker={"cluster": "jobs"})
    subjects = {
        account
        for body in flows.brokers(other)
        for account in re.findall(r"jobs-[a-z-]+", str(body["spec"]["endpointSelector"]))
    }
    assert subjects == {"jobs-kafka", "jobs-entity-operator"}
    (reach,) = [body for body in flows.services(other) if body["metadata"]["name"] == "broker"]
    assert reach["spec"]["egress"][0]["toEndpoints"][0]["matchLabels"][ACCOUNT] == "jobs-kafka"


def test_clients_may_ask_for_the_names_by_which_brokers_are_announced() -> None:
    host, port = bootstrap(platform()).split(":")
    assert port == str(BROKER_PORT)
    names = (host, "tenon-brokers-0.tenon-kafka-brokers.kafka.svc.cluster.local")
    for client in CLIENTS:
        assert all(any(matches(pattern, name) for pattern in patterns_of(client)) for name in names)
    assert listener()["configuration"] == {"useServiceDnsDomain": True}


def patterns_of(account: str) -> list[str]:
    """Patterns of the one DNS rule that names the account."""
    (found,) = [
        body for body in flows.questions(platform()) if account in str(body["spec"]["endpointSelector"]).split("'")
    ]
    rules = found["spec"]["egress"][0]["toPorts"][0]["rules"]["dns"]
    return [rule["matchPattern"] for rule in rules if "matchPattern" in rule]


def matches(pattern: str, name: str) -> bool:
    return bool(re.fullmatch(re.escape(pattern).replace(r"\*", "[-a-z0-9_]*"), name))


def test_the_broker_and_the_service_are_given_one_password(objects: dict[tuple[str, str, str], Body]) -> None:
    for user in CLIENTS:
        paths = {
            objects[namespace, "ExternalSecret", f"broker-{user}"]["spec"]["data"][0]["remoteRef"]["key"]
            for namespace in (KAFKA, SYSTEM)
        }
        assert paths == {f"platform/broker/{user}"}
        password = objects[KAFKA, "KafkaUser", user]["spec"]["authentication"]["password"]
        assert password == {"valueFrom": {"secretKeyRef": {"name": f"broker-{user}", "key": "password"}}}


@pytest.mark.requirement("A18")
def test_everything_that_strimzi_starts_is_named_by_digest() -> None:
    spec = kafka(platform())["spec"]
    operators = [spec["entityOperator"][each]["image"] for each in ("topicOperator", "userOperator")]
    assert spec["kafka"]["image"] == platform().image("kafka")
    assert operators == [platform().image("strimzi")] * 2


def test_the_version_is_the_one_that_the_image_holds() -> None:
    lock = yaml.safe_load((REPOSITORY / "images.lock").read_text(encoding="utf-8"))
    assert lock["kafka"]["from"].endswith(f"-kafka-{KAFKA_RELEASE}")


def test_operators_watch_their_own_namespace_alone() -> None:
    operators = kafka(platform())["spec"]["entityOperator"]
    assert not [each for each in ("topicOperator", "userOperator") if "watchedNamespace" in operators[each]]


def test_the_port_is_open_to_our_services_even_where_strimzi_writes_the_policy() -> None:
    assert listener()["networkPolicyPeers"] == [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": SYSTEM}}}
    ]


def test_what_is_not_allowed_is_denied_and_no_topic_makes_itself() -> None:
    spec = kafka(platform())["spec"]["kafka"]
    assert spec["authorization"] == {"type": "simple"}
    assert spec["config"]["auto.create.topics.enable"] is False


@pytest.mark.parametrize(("copies", "in_sync"), [(1, 1), (2, 1), (3, 2)])
def test_an_acknowledged_message_outlives_a_node_where_there_is_another(copies: int, in_sync: int) -> None:
    config = kafka(sample_platform(broker={"replicas": copies}))["spec"]["kafka"]["config"]
    assert config["default.replication.factor"] == copies
    assert config["min.insync.replicas"] == in_sync


def test_disks_outlive_the_objects_that_ask_for_them(objects: dict[tuple[str, str, str], Body]) -> None:
    pool = objects[KAFKA, "KafkaNodePool", "brokers"]["spec"]
    assert [volume["deleteClaim"] for volume in pool["storage"]["volumes"]] == [False]
    assert pool["roles"] == ["broker", "controller"]


def test_every_object_of_the_cluster_says_which(objects: dict[tuple[str, str, str], Body]) -> None:
    for (_, kind, _), body in objects.items():
        if kind in {"KafkaNodePool", "KafkaTopic", "KafkaUser"}:
            assert body["metadata"]["labels"]["strimzi.io/cluster"] == "tenon"
