"""Librdkafka's mock cluster, for faults: real sockets, nothing on disk, leaders and errors at our command.

Its control functions are in the library that the wheel of confluent-kafka carries; they are declared unstable, so they
stand in this file alone.
"""

import ctypes
from collections.abc import Sequence
from pathlib import Path

import confluent_kafka
from confluent_kafka import KafkaError, Producer

BROKERS = 3
PARTITIONS = 4  # of every topic
PRODUCE, INIT_PRODUCER_ID = 0, 22  # request types of Kafka's protocol

_TOPIC, _VALUE, _HEADER = 1, 4, 9  # of the arguments of rd_kafka_producev

# Faults of a broker by their numbers in the protocol.
NOT_LEADER = KafkaError.NOT_LEADER_FOR_PARTITION
NO_RIGHT = KafkaError.TOPIC_AUTHORIZATION_FAILED
REFUSED = KafkaError.INVALID_RECORD
NO_CLUSTER_RIGHT = KafkaError.CLUSTER_AUTHORIZATION_FAILED


class MockCluster:
    """A cluster of three brokers on loopback."""

    def __init__(self, topics: Sequence[str]) -> None:
        self._library = _library()
        reason = ctypes.create_string_buffer(512)
        self._client = ctypes.c_void_p(self._library.rd_kafka_new(0, None, reason, len(reason)))
        assert self._client, reason.value
        self._cluster = ctypes.c_void_p(self._library.rd_kafka_mock_cluster_new(self._client, BROKERS))
        self.servers = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()
        asking = Producer({"bootstrap.servers": self.servers})
        for topic in topics:  # asking makes it; the cluster's own function for it takes a second
            assert asking.list_topics(topic, timeout=10).topics[topic].error is None

    def set_down(self, *, up: bool = False) -> None:
        """All brokers at once."""
        for broker in range(1, BROKERS + 1):
            self._call("broker_set_up" if up else "broker_set_down", broker)

    def answer_late(self, milliseconds: int) -> None:
        for broker in range(1, BROKERS + 1):
            self._call("broker_set_rtt", broker, milliseconds)

    def move_leader(self, topic: str, partition: int, broker: int) -> None:
        self._call("partition_set_leader", topic.encode(), partition, broker)

    def refuse(self, request: int, fault: int, *, times: int) -> None:
        """Answer the next requests of a type with a fault."""
        faults = (ctypes.c_int * times)(*[fault] * times)
        self._library.rd_kafka_mock_push_request_errors_array(
            self._cluster, ctypes.c_int16(request), ctypes.c_size_t(times), faults
        )

    def put_nameless(self, topic: str, value: bytes) -> None:
        """A message with a header whose name is no UTF-8; no client in Python can write one."""
        library, reason = self._library, ctypes.create_string_buffer(512)
        settings = ctypes.c_void_p(library.rd_kafka_conf_new())
        servers = self.servers.encode()
        library.rd_kafka_conf_set(settings, b"bootstrap.servers", servers, reason, ctypes.c_size_t(len(reason)))
        client = ctypes.c_void_p(library.rd_kafka_new(0, settings, reason, len(reason)))
        length, one = ctypes.c_size_t(len(value)), ctypes.c_ssize_t(1)
        words = (_TOPIC, topic.encode(), _VALUE, value, length, _HEADER, b"\xff\xfe", b"x", one, 0)
        assert library.rd_kafka_producev(client, *words) == 0
        assert library.rd_kafka_flush(client, 10_000) == 0
        library.rd_kafka_destroy(client)

    def close(self) -> None:
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._client)

    def _call(self, name: str, *values: bytes | int) -> int:
        return int(getattr(self._library, f"rd_kafka_mock_{name}")(self._cluster, *values))


def _library() -> ctypes.CDLL:
    (found,) = Path(confluent_kafka.__file__).parents[1].glob("confluent_kafka.libs/librdkafka*.so*")
    library = ctypes.CDLL(str(found))
    library.rd_kafka_conf_new.restype = ctypes.c_void_p
    library.rd_kafka_new.restype = library.rd_kafka_mock_cluster_new.restype = ctypes.c_void_p
    library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    return library
