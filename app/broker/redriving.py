"""A dead letter's next chance: the message as it was first found, sent again by an operator, a few times at most.

It goes to the first retry topic, due at once, so that it needs no right to write jobs. Twice is harmless: what a
message makes is named after its job. A letter that fails again is a new letter, which counts its redrives.
"""

from datetime import UTC, datetime

from app.broker.dead_letters import DeadLetter, DeadLetters
from app.broker.failures import redriven
from app.broker.queue import Outlet
from app.broker.topics import TOPICS, Topics

MOST_REDRIVES = 3


class Refused(Exception):  # noqa: N818 - the name is the fact
    """The letter is not sent again; the text says why and what else to do."""


class Redriver:
    """Sends letters again."""

    def __init__(self, letters: DeadLetters, outlet: Outlet, *, topics: Topics = TOPICS) -> None:
        self._letters = letters
        self._outlet = outlet
        self._topic, _ = topics.levels[0]

    def redrive(self, letter: DeadLetter) -> None:
        """Raises Refused, BrokerUnavailable, StoreUnavailable; before the letter is settled, if at all."""
        check(letter)
        now = datetime.now(UTC)
        headers = redriven(letter.headers, redrives=letter.redrives + 1, due=now)
        self._outlet.send(self._topic, key=letter.key, headers=headers, value=letter.value, due_at=now)
        self._letters.settle(letter.id, "redriven")


def discard(letter: DeadLetter, letters: DeadLetters) -> None:
    """Give a letter up. Raises Refused, StoreUnavailable."""
    if not letters.settle(letter.id, "discarded"):
        raise Refused("was settled before; list the letters that are open")


def check(letter: DeadLetter) -> None:
    """Raises Refused."""
    if letter.settled is not None:
        raise Refused(f"was {letter.settled} before; list the letters that are open")
    if letter.redrives >= MOST_REDRIVES:
        raise Refused(f"was redriven {letter.redrives} times and came back each time; mend the cause, or discard it")
