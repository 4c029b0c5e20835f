"""The contract between those who publish jobs and those who take them, whatever keeps the messages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from app.contract.job import JobEnvelope

Headers = tuple[tuple[str, bytes | None], ...]
"""As Kafka has them: in order, a name possibly twice, a value of any bytes or none."""


class BrokerUnavailable(Exception):  # noqa: N818 - the name is the fact
    """The broker did not acknowledge in time: the message may or may not be kept."""


@dataclass(frozen=True)
class Message:
    """A message as it was found; a queue in the store is one partition. `value` is None in a tombstone."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    raw: Headers
    value: bytes | None
    published_at: datetime
    attempts: int = 1  # how often it was tried, this time included

    @property
    def id(self) -> str:
        """Where it stands in its topic."""
        return f"{self.partition}:{self.offset}"

    @property
    def headers(self) -> Mapping[str, str]:
        """As text; bytes that are no UTF-8 become lone surrogates, which no rule of ours accepts."""
        return {name: (found or b"").decode("utf-8", "surrogateescape") for name, found in self.raw}


@dataclass(frozen=True)
class Failure:
    """Why a message could not be handled: `reason` is a code to search by, `error` says it in words."""

    reason: str
    error: str
    error_class: str
    stack: str = ""


class Publisher(Protocol):
    """The API's side."""

    async def publish(self, envelope: JobEnvelope, *, traceparent: str | None, tracestate: str | None = None) -> None:
        """Return when the message is durable. Raises BrokerUnavailable."""


class Subscriber(Protocol):
    """The dispatcher's side: at least once, so that what is done with a message must be idempotent.

    A message is settled by exactly one of `acknowledge`, `retry` and `reject`, in the order in which `take` gave them.
    """

    def take(self, *, limit: int) -> Sequence[Message]:
        """The oldest messages that are due, first those that were taken before and not settled.

        Raises BrokerUnavailable.
        """

    def acknowledge(self, message: Message) -> None:
        """The message is done with. The broker is told with the next `take` or `close`: before, it may come again."""

    def retry(self, message: Message, failure: Failure) -> bool:
        """Set the message aside until its next turn. False: it has had them all. Raises BrokerUnavailable."""

    def reject(self, message: Message, failure: Failure) -> None:
        """Put the message with the dead letters, untouched. Raises BrokerUnavailable."""

    def close(self) -> None:
        """Tell the broker what was acknowledged, and leave. An outage is passed over: messages come again."""


class Outlet(Protocol):
    """Where a message is sent as it is, for another turn."""

    def send(self, topic: str, *, key: bytes | None, headers: Headers, value: bytes | None, due_at: datetime) -> None:
        """Return when the message is durable. Raises BrokerUnavailable."""
