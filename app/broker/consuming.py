"""How a consumer treats what it takes: done, another turn later, or a dead letter."""

import logging
import traceback
from collections.abc import Callable

from app.broker.envelope import PoisonError, Reason
from app.broker.queue import BrokerUnavailable, Failure, Message, Subscriber
from app.store.engine import StoreUnavailable

BATCH = 100

log = logging.getLogger(__name__)


def drain(subscriber: Subscriber, handle: Callable[[Message], None]) -> int:
    """Take one batch, handle each message, and say how many are settled.

    A message that cannot be mended is a dead letter at once; after another fault it is tried again later, once at
    each of Topics.levels. Neither holds up the messages behind it. An outage of store or broker is no fault of the
    message and is raised: the message and those after it come again.
    """
    done = 0
    for message in subscriber.take(limit=BATCH):
        try:
            handle(message)
        except PoisonError as error:
            subscriber.reject(message, Failure(error.reason, str(error), type(error).__name__))
        except (StoreUnavailable, BrokerUnavailable):
            raise
        except Exception as error:
            log.exception("message %s of %s: attempt %d failed", message.id, message.topic, message.attempts)
            failure = _failure(error)
            if not subscriber.retry(message, failure):
                subscriber.reject(message, failure)
        else:
            subscriber.acknowledge(message)
        done += 1
    return done


def _failure(error: Exception) -> Failure:
    kind = type(error).__name__
    stack = "".join(traceback.format_exception(error))
    return Failure(Reason.ATTEMPTS_EXHAUSTED, f"{kind}: {error}", kind, stack)
