"""`Subscriber` to Kafka: a member of the dispatchers' group, which reads the jobs and the retry topics.

An offset is committed once everything before it is settled. A partition of a retry topic whose oldest message is not
due is paused, so that the others go on. Dead letters become a row in the store and a message of their topic.
"""

import logging
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import methodcaller
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as Record
from sqlalchemy import Engine

from app.broker import failures
from app.broker.dead_letters import keep
from app.broker.kafka.address import Address, Configuration
from app.broker.kafka.producing import KafkaOutlet, TooLargeError
from app.broker.queue import BrokerUnavailable, Failure, Headers, Message
from app.broker.topics import TOPICS, Topics
from app.store.engine import writing

WAIT_SECONDS = 0.05  # for a first message
PREFETCH_KIB = 8192
_Place = tuple[str, int]  # topic and partition

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Held:
    message: Message
    due: datetime


class KafkaSubscriber:
    """Of one thread. engine: the store, where the dead letters are listed."""

    def __init__(self, address: Address, engine: Engine, *, topics: Topics = TOPICS) -> None:
        self._address = address
        self._engine = engine
        self._topics = topics
        self._delays = dict(topics.levels)
        self._outlet = KafkaOutlet(address)
        self._lines: dict[_Place, deque[_Held]] = {}  # fetched and not settled
        self._next: dict[_Place, int] = {}  # offsets to commit
        self._paused: set[_Place] = set()
        self._consumer: Consumer | None = None

    def take(self, *, limit: int) -> list[Message]:
        consumer = self._consumer or self._join()
        self._commit(consumer)
        ready = len(self._ready(limit))
        self._pause(consumer, everything=ready == limit)
        self._fetch(consumer, limit - ready, wait=0 if ready else WAIT_SECONDS)
        return self._ready(limit)

    def acknowledge(self, message: Message) -> None:
        self._settle(message)

    def retry(self, message: Message, failure: Failure) -> bool:
        if (level := self._topics.next_level(message.attempts)) is None:
            return False
        topic, seconds = level
        now = datetime.now(UTC)
        due = now + timedelta(seconds=seconds)
        headers = failures.failed(message, failure, now=now, due=due)
        try:
            self._outlet.send(topic, key=message.key, headers=headers, value=message.value, due_at=due)
        except TooLargeError:
            return False  # what was added to it was too much for the topic
        self._settle(message)
        return True

    def reject(self, message: Message, failure: Failure) -> None:
        with writing(self._engine) as connection:
            keep(connection, message, failure)
        now = datetime.now(UTC)
        headers = failures.failed(message, failure, now=now)
        topic = self._topics.dead_letters
        try:
            self._outlet.send(topic, key=message.key, headers=headers, value=message.value, due_at=now)
        except TooLargeError as error:
            log.warning("%s; it is kept in the store alone", error)
        self._settle(message)

    def close(self) -> None:
        if self._consumer is None:
            return
        try:
            self._commit(self._consumer, is_last=True)
            self._consumer.close()
        except KafkaException as error:
            log.warning("broker %s: left without a word: %s", self._address.shown, error)
        self._consumer = None
        self._lines.clear()
        self._paused.clear()

    def _join(self) -> Consumer:
        self._consumer = Consumer(_configuration(self._address, self._topics.group, self._fault), logger=log)
        self._consumer.subscribe(list(self._topics.taken), on_revoke=self._leave, on_lost=self._lose)
        return self._consumer

    def _fetch(self, consumer: Consumer, room: int, *, wait: float) -> None:
        """Ask even where there is no room: who does not ask is taken for dead."""
        try:
            first = consumer.poll(wait)
            records = [] if first is None else [first, *consumer.consume(max(room - 1, 0), timeout=0)]
        except KafkaException as error:
            raise BrokerUnavailable(f"broker {self._address.shown}: {error.args[0]}") from error
        faults = [fault for record in records if (fault := self._hold(record))]
        if faults:
            texts = "; ".join(sorted({fault.str() for fault in faults}))
            remedy = "make the topics and rights that the platform tree names"
            raise BrokerUnavailable(f"broker {self._address.shown}: {texts}; {remedy}")

    def _hold(self, record: Record) -> KafkaError | None:
        if (fault := record.error()) is not None:
            return fault
        message, now = _message(record), datetime.now(UTC)
        due = now
        if (delay := self._delays.get(message.topic)) is not None:
            # whatever its header says, nobody makes a partition wait longer than its level
            due = min(failures.due_at(message.raw) or now, now + timedelta(seconds=delay))
        self._lines.setdefault((message.topic, message.partition), deque()).append(_Held(message, due))
        return None

    def _ready(self, limit: int) -> list[Message]:
        now, found = datetime.now(UTC), list[Message]()
        for line in self._lines.values():
            for held in line:
                if held.due > now or len(found) >= limit:
                    break
                found.append(held.message)
        return found

    def _pause(self, consumer: Consumer, *, everything: bool) -> None:
        now = datetime.now(UTC)
        waiting = {place for place, line in self._lines.items() if line and line[0].due > now}
        if everything:
            waiting |= {(each.topic, each.partition) for each in consumer.assignment()}
        if begun := waiting - self._paused:
            consumer.pause([TopicPartition(*place) for place in begun])
        if ended := self._paused - waiting:
            consumer.resume([TopicPartition(*place) for place in ended])
        self._paused = waiting

    def _settle(self, message: Message) -> None:
        place = (message.topic, message.partition)
        line = self._lines.get(place, deque())
        if line and line[0].message.offset == message.offset:  # else another consumer has the partition by now
            line.popleft()
            self._next[place] = message.offset + 1

    def _commit(self, consumer: Consumer, *, is_last: bool = False) -> None:
        """What is not committed comes again; so a fault of it is no fault of anything else."""
        if not self._next:
            return
        offsets = [TopicPartition(*place, offset) for place, offset in self._next.items()]
        self._next.clear()
        try:
            if is_last:
                consumer.commit(offsets=offsets, asynchronous=False)
            else:
                consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            log.warning("broker %s: offsets were not committed: %s", self._address.shown, error)

    def _leave(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Another consumer gets these partitions: it begins where we settled."""
        self._commit(consumer, is_last=True)
        self._lose(consumer, partitions)

    def _lose(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for partition in partitions:
            place = (partition.topic, partition.partition)
            self._lines.pop(place, None)
            self._next.pop(place, None)
            self._paused.discard(place)

    def _fault(self, error: KafkaError) -> None:
        """A broker that is away stops nothing but the arrival of jobs: those in the store go on."""
        log.warning("broker %s: %s", self._address.shown, error.str())


def _configuration(address: Address, group: str, fault: object) -> Configuration:
    classic = {"partition.assignment.strategy": "cooperative-sticky"} if address.group_protocol == "classic" else {}
    return {
        **address.client,
        "group.id": group,
        "group.protocol": address.group_protocol,
        **classic,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "allow.auto.create.topics": False,
        "fetch.wait.max.ms": 100,
        "queued.max.messages.kbytes": PREFETCH_KIB,
        "error_cb": fault,
    }


def _message(record: Record) -> Message:
    headers = _headers(record)
    milliseconds = record.timestamp()[1]
    return Message(
        topic=record.topic() or "",
        partition=record.partition() or 0,
        offset=record.offset() or 0,
        key=_bytes(record.key()),
        raw=headers,
        value=_bytes(record.value()),
        published_at=datetime.fromtimestamp(milliseconds / 1000, UTC),
        attempts=failures.attempts(headers),
    )


def _headers(record: Record) -> Headers:
    """None at all where a name is no UTF-8, which the client cannot give: the message is poison for it anyway.

    The client then returns a list with the exception still set. `methodcaller` notices; the interpreter's own fast call
    does not, and the exception would surface anywhere.
    """
    try:
        pairs: Any = methodcaller("headers")(record) or ()
    except (SystemError, UnicodeDecodeError):
        return ()
    return tuple((name, _bytes(value)) for name, value in pairs)


def _bytes(found: str | bytes | None) -> bytes | None:
    return found.encode() if isinstance(found, str) else found
