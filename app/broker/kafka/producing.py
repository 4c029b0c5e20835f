"""What both producers of ours share: durable or an error, within the deadline of an HTTP request."""

import logging
from datetime import datetime

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from app.broker.kafka.address import Address, Configuration
from app.broker.queue import BrokerUnavailable, Headers

DEADLINE_SECONDS = 3.0  # then a message is given up, and its request answered 503
MOST_BYTES = 8 << 20  # an oversized message has to reach the dead letters, where the topic takes it

log = logging.getLogger(__name__)


class TooLargeError(Exception):
    """The topic takes no message of this size."""


def configuration(address: Address) -> Configuration:
    return {
        **address.client,
        "enable.idempotence": True,
        "acks": "all",
        "compression.type": "zstd",
        "linger.ms": 2,
        "delivery.timeout.ms": int(DEADLINE_SECONDS * 1000),
        "request.timeout.ms": int(DEADLINE_SECONDS * 1000),
        "queue.buffering.max.messages": 10_000,
        "message.max.bytes": MOST_BYTES,
    }


class KafkaOutlet:
    """`Outlet`: one message at a time, for what is rare. Of one thread."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._producer: Producer | None = None

    def send(
        self,
        topic: str,
        *,
        key: bytes | None,
        headers: Headers,
        value: bytes | None,
        due_at: datetime,  # noqa: ARG002 - consumers read it from the headers
    ) -> None:
        """Raises BrokerUnavailable, TooLargeError."""
        if self._producer is None:
            self._producer = Producer(configuration(self._address), logger=log)
        reports: list[KafkaError | None] = []

        def reported(error: KafkaError | None, _message: Message) -> None:
            reports.append(error)

        try:
            self._producer.produce(topic, value, key, headers=list(headers), on_delivery=reported)
            self._producer.flush(DEADLINE_SECONDS + 1)
        except (KafkaException, BufferError) as error:
            self._producer = None  # it may be dead for good, as an idempotent one is after a fatal error
            raise self._fault(topic, error.args[0]) from error
        if not reports or reports[0] is not None:
            self._producer = None
            raise self._fault(topic, reports[0] if reports else "no answer")

    def _fault(self, topic: str, error: object) -> Exception:
        if isinstance(error, KafkaError) and error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            return TooLargeError(f"{topic}: {error.str()}")
        return unavailable(self._address, topic, error)


def unavailable(address: Address, topic: str, error: object) -> BrokerUnavailable:
    text = error.str() if isinstance(error, KafkaError) else str(error)
    remedy = "look whether its brokers run, and whether TENON_BROKER_URL names one of its users, with rights to it"
    return BrokerUnavailable(f"broker {address.shown}: topic {topic}: {text}; {remedy}")
