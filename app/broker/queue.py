"""The contract between those who publish jobs and those who take them, whatever keeps the messages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from app.contract.job import JobEnvelope


class BrokerUnavailable(Exception):  # noqa: N818 - the name is the fact
    """The broker did not acknowledge in time: the message may or may not be kept."""


@dataclass(frozen=True)
class Message:
    """A message as it was found. `attempts` counts how often it was taken, this time included."""

    id: int
    headers: Mapping[str, str]
    value: bytes
    attempts: int


class Publisher(Protocol):
    """The API's side."""

    async def publish(self, envelope: JobEnvelope, *, traceparent: str | None) -> None:
        """Return when the message is durable. Raises BrokerUnavailable."""


class Subscriber(Protocol):
    """The dispatcher's side: at least once, so that what is done with a message must be idempotent."""

    def take(self, *, limit: int) -> Sequence[Message]:
        """The oldest messages that are neither acknowledged nor rejected. Raises BrokerUnavailable."""

    def acknowledge(self, message: Message) -> None:
        """The message is done with. Raises BrokerUnavailable."""

    def reject(self, message: Message, *, reason: str) -> None:
        """Put the message with the dead letters, untouched. Raises BrokerUnavailable."""
