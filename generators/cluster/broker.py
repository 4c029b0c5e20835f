"""The broker: a Kafka that Strimzi runs, its topics, and one user for each service that speaks to it.

Strimzi 1.x, `kafka.strimzi.io/v1`. Clients authenticate by SCRAM over plain TCP: WireGuard encrypts between nodes, and
the cluster CA stands in a namespace that clients do not read. Passwords come from the secret store to both sides, so
that the User Operator watches no namespace but its own.
"""

from dataclasses import dataclass
from typing import Any

from app.contract.internal import DEAD_LETTER_TOPIC, DISPATCHER_GROUP, JOBS_TOPIC, RETRY_TOPICS
from generators import hosts, naming, restricted, versions
from generators.foundation.storage import external_secret
from generators.inputs.platform import Platform
from generators.manifest import Construct, Place, Wave, manifest

BROKER_PORT = 9092
PASSWORD = "password"  # noqa: S105 - a key of the Secret
POOL = "brokers"
DAY_MS = 24 * 3600 * 1000
MEBIBYTE = 1 << 20

# Strimzi's images write their configuration below /opt, so their root is not read-only.
_CONTAINER_SECURITY = {**restricted.CONTAINER_SECURITY, "readOnlyRootFilesystem": False}

Acl = dict[str, Any]


@dataclass(frozen=True)
class User:
    """What a service may do at the broker. bytes_per_second: of what it sends and of what it receives, per broker."""

    name: str
    acls: tuple[Acl, ...]
    bytes_per_second: int


class PlatformBroker(Construct):
    """Kafka with its node pool, the topics, the users and their passwords."""

    def __init__(self, scope: Construct, construct_id: str, *, platform: Platform) -> None:
        super().__init__(scope, construct_id)
        place = Place("foundation", naming.BROKER_NAMESPACE, "platform.yaml broker", Wave.SERVICE)
        for body in (kafka(platform), node_pool(platform), *topics(platform)):
            manifest(self, body, at=place)
        secrets = (naming.BROKER_NAMESPACE, naming.SYSTEM_NAMESPACE)
        for user in USERS:
            manifest(self, kafka_user(user, platform), at=place)
            for namespace in secrets:
                at = Place("foundation", namespace, "platform.yaml broker", Wave.CONFIG)
                manifest(self, password(user.name), at=at)


def _topic(name: str, *operations: str) -> Acl:
    return {"resource": {"type": "topic", "name": name, "patternType": "literal"}, "operations": [*operations]}


def _group(name: str) -> Acl:
    return {"resource": {"type": "group", "name": name, "patternType": "literal"}, "operations": ["Read"]}


# Trainers have no user: what a job may say reaches us through the watcher alone (DESIGN D19).
USERS = (
    User("ingest", (_topic(JOBS_TOPIC, "Describe", "Write"),), 16 * MEBIBYTE),
    User(
        "dispatcher",
        (
            _topic(JOBS_TOPIC, "Describe", "Read"),
            _group(DISPATCHER_GROUP),
            # a failed message goes from topic to topic; an operator sends a dead letter again into the first of them
            *(_topic(name, "Describe", "Read", "Write") for name in RETRY_TOPICS),
            _topic(DEAD_LETTER_TOPIC, "Describe", "Write"),
        ),
        64 * MEBIBYTE,
    ),
)
CLIENTS = tuple(user.name for user in USERS)


def bootstrap(platform: Platform) -> str:
    """Where clients begin, as host and port."""
    return f"{hosts.service(f'{platform.broker.cluster}-kafka-bootstrap', naming.BROKER_NAMESPACE)}:{BROKER_PORT}"


def accounts(platform: Platform) -> tuple[str, str]:
    """Service accounts that Strimzi makes: of the Kafka nodes, and of its topic and user operators."""
    return f"{platform.broker.cluster}-kafka", f"{platform.broker.cluster}-entity-operator"


def password_secret(user: str) -> str:
    return f"broker-{user}"


def password(user: str) -> dict[str, Any]:
    """The same password for the User Operator and for the service."""
    found = external_secret(
        password_secret(user), f"platform/broker/{user}", keys=(PASSWORD,), labels=dict(naming.MANAGED_BY)
    )
    return dict(found)


def kafka(platform: Platform) -> dict[str, Any]:
    """The cluster: one listener, authorisation that denies what no ACL allows, both entity operators."""
    copies = platform.broker.replicas
    in_sync = max(1, copies - 1)
    settings = {
        "auto.create.topics.enable": False,
        "default.replication.factor": copies,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": in_sync,
    }
    operator = {"image": platform.image("strimzi"), "resources": restricted.resources("500m", "512Mi")}
    template = {
        "pod": _pod(),
        "topicOperatorContainer": {"securityContext": _CONTAINER_SECURITY},
        "userOperatorContainer": {"securityContext": _CONTAINER_SECURITY},
    }
    spec = {
        "kafka": {
            "version": versions.KAFKA_RELEASE,
            "image": platform.image("kafka"),  # of this version
            "listeners": [listener()],
            "authorization": {"type": "simple"},
            "config": settings,
        },
        "entityOperator": {"topicOperator": operator, "userOperator": operator, "template": template},
    }
    return _object("Kafka", platform.broker.cluster, spec, labels=dict(naming.MANAGED_BY))


def listener() -> dict[str, Any]:
    """For our services alone. Strimzi's own NetworkPolicy would open the port to every namespace without the peers.

    Brokers are announced by whole names, which the services' DNS rules allow; the short form is refused.
    """
    ours = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": naming.SYSTEM_NAMESPACE}}}
    return {
        "name": "services",
        "port": BROKER_PORT,
        "type": "internal",
        "tls": False,
        "authentication": {"type": "scram-sha-512"},
        "configuration": {"useServiceDnsDomain": True},
        "networkPolicyPeers": [ours],
    }


def node_pool(platform: Platform) -> dict[str, Any]:
    """Nodes that are brokers and controllers, each on a disk that outlives the object."""
    disk = {"id": 0, "type": "persistent-claim", "size": "100Gi", "kraftMetadata": "shared", "deleteClaim": False}
    spread = {
        "maxSkew": 1,
        "topologyKey": "topology.kubernetes.io/zone",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {"strimzi.io/pool-name": POOL}},
    }
    spec = {
        "replicas": platform.broker.replicas,
        "roles": ["broker", "controller"],
        "storage": {"type": "jbod", "volumes": [disk]},
        "resources": restricted.resources("2", "4Gi"),
        "template": {
            "pod": {**_pod(), "topologySpreadConstraints": [spread], "terminationGracePeriodSeconds": 120},
            "kafkaContainer": {"securityContext": _CONTAINER_SECURITY},
        },
    }
    return _object("KafkaNodePool", POOL, spec, labels=_of_cluster(platform))


def topics(platform: Platform) -> list[dict[str, Any]]:
    """Jobs, keyed by tenant; what waits for another turn, one topic per delay; and what could not be handled.

    The store holds the jobs and lists the dead letters; a topic is their way there.
    """
    broker = platform.broker
    return [
        _kafka_topic(JOBS_TOPIC, platform, partitions=broker.partitions, days=7),
        *(_kafka_topic(name, platform, partitions=1, days=7) for name in RETRY_TOPICS),
        _kafka_topic(DEAD_LETTER_TOPIC, platform, partitions=1, days=90),
    ]


def kafka_user(user: User, platform: Platform) -> dict[str, Any]:
    key = {"name": password_secret(user.name), "key": PASSWORD}
    spec = {
        "authentication": {"type": "scram-sha-512", "password": {"valueFrom": {"secretKeyRef": key}}},
        "authorization": {"type": "simple", "acls": list(user.acls)},
        "quotas": {
            "producerByteRate": user.bytes_per_second,
            "consumerByteRate": user.bytes_per_second,
            "requestPercentage": 50,
        },
    }
    return _object("KafkaUser", user.name, spec, labels=_of_cluster(platform))


def _kafka_topic(name: str, platform: Platform, *, partitions: int, days: int) -> dict[str, Any]:
    spec = {
        "partitions": partitions,
        "replicas": platform.broker.replicas,
        "config": {"cleanup.policy": "delete", "retention.ms": days * DAY_MS},
    }
    return _object("KafkaTopic", name, spec, labels=_of_cluster(platform))


def _pod() -> dict[str, Any]:
    """Strimzi's images name a user; the group owns the disk."""
    security = {"runAsNonRoot": True, "fsGroup": 0, "seccompProfile": {"type": "RuntimeDefault"}}
    return {"securityContext": security, "priorityClassName": naming.SERVICES_PRIORITY}


def _of_cluster(platform: Platform) -> dict[str, str]:
    return {**naming.MANAGED_BY, "strimzi.io/cluster": platform.broker.cluster}


def _object(kind: str, name: str, spec: dict[str, Any], *, labels: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": versions.STRIMZI,
        "kind": kind,
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
    }
