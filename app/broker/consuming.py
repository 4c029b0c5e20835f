"""How a consumer treats what it takes: done, repeated a bounded number of times, or a dead letter."""

import logging
from collections.abc import Callable

from app.broker.envelope import PoisonError
from app.broker.queue import BrokerUnavailable, Message, Subscriber
from app.store.engine import StoreUnavailable

BATCH = 100
MOST_ATTEMPTS = 5

log = logging.getLogger(__name__)


def drain(subscriber: Subscriber, handle: Callable[[Message], None]) -> int:
    """Take one batch, handle each message, and say how many are done with.

    A message that cannot be mended is a dead letter at once, another fault is tried MOST_ATTEMPTS times; neither holds
    up the messages behind it. An outage of store or broker is no fault of the message and is raised.
    """
    done = 0
    for message in subscriber.take(limit=BATCH):
        try:
            handle(message)
        except PoisonError as reason:
            subscriber.reject(message, reason=str(reason))
        except (StoreUnavailable, BrokerUnavailable):
            raise
        except Exception as error:
            log.exception("message %d: attempt %d failed", message.id, message.attempts)
            if message.attempts < MOST_ATTEMPTS:
                continue
            subscriber.reject(message, reason=f"{type(error).__name__}: {error}")
        else:
            subscriber.acknowledge(message)
        done += 1
    return done
