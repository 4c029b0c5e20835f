"""`Publisher` to Kafka: many requests wait on one producer, whose answers a thread brings back to their event loops.

Not AIOProducer, which refuses headers and so would end the trace here.
"""

import asyncio
import threading
import time
from collections import defaultdict, deque
from contextlib import suppress
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from app.broker import envelope as wire
from app.broker.kafka.address import Address
from app.broker.kafka.producing import DEADLINE_SECONDS, configuration, log, unavailable
from app.broker.topics import TOPICS, Topics
from app.contract.job import JobEnvelope

POLL_SECONDS = 0.2
REFUSED_SECONDS = 5.0  # after our credentials were refused, requests are answered at once

_OF_A_DEAD_PRODUCER = {KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT, KafkaError._FATAL}  # noqa: SLF001

_Answer = asyncio.Future[KafkaError | None]


class KafkaPublisher:
    """Starts its producer and its thread with the first message: importing and building it reach no network."""

    def __init__(
        self, address: Address, *, topics: Topics = TOPICS, deadline_seconds: float = DEADLINE_SECONDS
    ) -> None:
        self._address = address
        self._topic = topics.jobs
        self._deadline = deadline_seconds
        self._producer: Producer | None = None
        self._starting = threading.Lock()
        self._closing = threading.Event()
        self._reports: deque[tuple[_Answer, KafkaError | None]] = deque()
        self._refused_until = 0.0
        self._fatal: KafkaError | None = None  # what the last producer died of

    async def publish(self, envelope: JobEnvelope, *, traceparent: str | None, tracestate: str | None = None) -> None:
        if time.monotonic() < self._refused_until:
            raise unavailable(self._address, self._topic, "our credentials were refused")
        producer = self._producer or self._start()
        headers = wire.headers(envelope, traceparent=traceparent, tracestate=tracestate)
        answer: _Answer = asyncio.get_running_loop().create_future()
        try:
            producer.produce(
                self._topic,
                wire.value(envelope),
                envelope.tenant,
                headers=list(wire.raw(headers)),
                on_delivery=partial(self._reported, answer),
            )
        except (BufferError, KafkaException) as error:  # the queue is full, or the topic is known not to exist
            raise unavailable(self._address, self._topic, error.args[0]) from error
        try:
            fault = await asyncio.wait_for(answer, self._deadline + 2 * POLL_SECONDS)
        except TimeoutError as error:  # a request on its way is not given up by its own deadline
            raise unavailable(self._address, self._topic, "no answer in time") from error
        if fault is not None:
            is_dead = fault.code() in _OF_A_DEAD_PRODUCER
            raise unavailable(self._address, self._topic, self._fatal or fault if is_dead else fault)

    def close(self) -> None:
        """Give the messages on their way their time, then end the thread."""
        self._closing.set()
        if self._producer is not None:
            self._producer.flush(self._deadline)
            self._tell()

    def _start(self) -> Producer:
        with self._starting:
            if self._producer is None:
                settings = configuration(self._address)
                settings |= {"delivery.timeout.ms": int(self._deadline * 1000), "error_cb": self._fault}
                self._producer = Producer(settings, logger=log)
                threading.Thread(target=self._poll, args=(self._producer,), name="kafka", daemon=True).start()
            return self._producer

    def _poll(self, producer: Producer) -> None:
        while not self._closing.is_set() and self._lives(producer):
            self._tell()
        self._tell()

    def _lives(self, producer: Producer) -> bool:
        """Poll. False: the producer is dead for good, as an idempotent one is after a fatal error.

        The next message makes another; those on their way are answered.
        """
        try:
            producer.poll(POLL_SECONDS)
        except KafkaException as error:
            log.error("broker %s: %s; a new producer takes over", self._address.shown, error.args[0].str())
            with self._starting:
                self._producer, self._fatal = None, error.args[0]
            with suppress(KafkaException):  # the same one, told once more
                producer.flush(self._deadline)
            return False
        return True

    def _reported(self, answer: _Answer, error: KafkaError | None, _message: Message) -> None:
        self._reports.append((answer, error))

    def _fault(self, error: KafkaError) -> None:
        """The client itself would try wrong credentials until each message's deadline."""
        if error.code() in {KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED}:  # noqa: SLF001
            log.error("broker %s: %s", self._address.shown, error.str())
            self._refused_until = time.monotonic() + REFUSED_SECONDS
            if self._producer is not None:
                self._producer.purge(in_queue=True, in_flight=False, blocking=False)

    def _tell(self) -> None:
        """One wake-up per event loop, however many answers there are."""
        answers: dict[asyncio.AbstractEventLoop, list[tuple[_Answer, KafkaError | None]]] = defaultdict(list)
        while self._reports:
            answer, error = self._reports.popleft()
            answers[answer.get_loop()].append((answer, error))
        for loop, told in answers.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(_settle, told)


def _settle(told: list[tuple[_Answer, KafkaError | None]]) -> None:
    for answer, error in told:
        if not answer.done():  # its request may have ended
            answer.set_result(error)
