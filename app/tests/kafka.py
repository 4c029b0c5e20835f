"""A real Apache Kafka with accounts and rights, for the tests of the tier `services`. `make get-kafka` fetches it."""

import base64
import os
import signal
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclBindingFilter, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType
from controlplane.kafka import class_path, jars, java

from app.tests.brokers import wait_until
from trainer.tests.s3 import free_ports

ADMIN = "admin"
USERS = ("ingest", "dispatcher", "trainer")
PASSWORD = "password-of-the-tests"
_JAVA = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xlog:disable", "-Xlog:all=off")
_LOGGER = """<Configuration status="OFF">
<Appenders><Console name="out"><PatternLayout pattern="%d %p %c %m%n"/></Console></Appenders>
<Loggers><Root level="warn"><AppenderRef ref="out"/></Root></Loggers></Configuration>"""


class KafkaServer:
    """One broker over a folder of its own, on free loopback ports that it keeps through kills."""

    def __init__(self, folder: Path) -> None:
        self.folder, jar_folder = folder, jars()
        self._java, self._classes = java(), class_path(jar_folder)
        self._archive = jar_folder.with_suffix(".jsa")
        self.port, controller = free_ports(2)
        self.server = f"127.0.0.1:{self.port}"
        (folder / "log4j2.xml").write_text(_LOGGER)
        self._properties = folder / "server.properties"
        settings = _settings(folder, self.port, controller)
        self._properties.write_text("".join(f"{name}={text}\n" for name, text in settings.items()))
        cluster = base64.urlsafe_b64encode(uuid.UUID(int=uuid.uuid4().int >> 8).bytes).decode().rstrip("=")
        accounts = [f"SCRAM-SHA-512=[name={user},password={PASSWORD}]" for user in (ADMIN, *USERS)]
        added = [word for account in accounts for word in ("--add-scram", account)]
        command = self._command("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self._properties), *added)
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def url(self, user: str = ADMIN) -> str:
        return f"kafka://{user}:{PASSWORD}@{self.server}"

    def start(self) -> None:
        """Return when it answers."""
        archiving = [] if self._archive.exists() else [f"-XX:ArchiveClassesAtExit={self._archive}.{os.getpid()}"]
        with (self.folder / "log").open("ab") as log:
            command = self._command("kafka.Kafka", str(self._properties), options=archiving)
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until(self._answers, seconds=120)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(60)

    def close(self) -> None:
        """The first stop on a machine leaves an archive of the classes, with which a start takes half the time."""
        if self._archive.exists():
            self.kill()
            return
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)
        made = Path(f"{self._archive}.{os.getpid()}")
        if made.exists():
            made.replace(self._archive)

    def allow(self, user: str, rights: Sequence[Mapping[str, Any]]) -> None:
        """Rights as Strimzi's KafkaUser writes them; they hold when this returns."""
        wanted = [_binding(user, right["resource"], operation) for right in rights for operation in right["operations"]]
        admin = AdminClient(_client(self.server))
        for made in admin.create_acls(wanted).values():
            made.result(30)
        each: Any = None
        place = (ResourceType.ANY, each, ResourcePatternType.ANY)
        every = AclBindingFilter(*place, f"User:{user}", each, AclOperation.ANY, AclPermissionType.ANY)
        wait_until(lambda: len(admin.describe_acls(every).result(30)) >= len(wanted))

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "log").read_text()[-2000:]
        try:
            return bool(AdminClient(_client(self.server)).list_topics(timeout=1).brokers)
        except KafkaException:
            return False

    def _command(self, program: str, *words: str, options: Sequence[str] = ()) -> list[str]:
        shared = [f"-XX:SharedArchiveFile={self._archive}"] if self._archive.exists() else []
        logging = f"-Dlog4j2.configurationFile={self.folder / 'log4j2.xml'}"
        return [self._java, *_JAVA, *shared, *options, logging, "-cp", self._classes, program, *words]


def _client(server: str) -> dict[str, Any]:
    return {
        "bootstrap.servers": server,
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": ADMIN,
        "sasl.password": PASSWORD,
        "log_level": 0,
    }


def _binding(user: str, resource: Mapping[str, str], operation: str) -> AclBinding:
    return AclBinding(
        ResourceType[resource["type"].upper()],
        resource["name"],
        ResourcePatternType[resource["patternType"].upper()],
        f"User:{user}",
        "*",
        AclOperation[operation.upper()],
        AclPermissionType.ALLOW,
    )


def _settings(folder: Path, port: int, controller: int) -> dict[str, str]:
    """As generators/cluster/broker.py has the cluster, and made for one node that is killed a lot."""
    module = "org.apache.kafka.common.security.scram.ScramLoginModule"
    one = ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listeners": f"SASL_PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"SASL_PLAINTEXT://127.0.0.1:{port}",
        "listener.security.protocol.map": "SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "SASL_PLAINTEXT",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
        "listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config": (
            f'{module} required username="{ADMIN}" password="{PASSWORD}";'
        ),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:{ADMIN};User:ANONYMOUS",  # the second is the controller's own listener
        "allow.everyone.if.no.acl.found": "false",
        "auto.create.topics.enable": "false",
        "log.dirs": str(folder / "data"),
        "message.max.bytes": str(4 << 20),
        "group.initial.rebalance.delay.ms": "0",
        "group.consumer.heartbeat.interval.ms": "500",
        "group.consumer.min.heartbeat.interval.ms": "500",
        "broker.session.timeout.ms": "1000",
        "broker.heartbeat.interval.ms": "250",
        **{f"{name}.replication.factor": "1" for name in one},
        **{f"{name}.num.partitions": "4" for name in one},
        **{f"{name}.min.isr": "1" for name in one[1:]},
    }
