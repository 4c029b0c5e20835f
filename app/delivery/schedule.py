"""When a webhook is sent again, and when a receiver is left in peace. Pure.

Source: Standard Webhooks 1.0.0, "Deliverability and reliability": attempts over some days, slower after 429 and 5xx,
none after 410.
"""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum

# Seconds before each attempt, counted from the one before it.
SCHEDULE = (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
JITTER = 0.1  # of a wait, either way, so that what failed together is not sent together
LONGEST_WAIT = timedelta(days=1)

FAILURES = 5  # in a row, after which the breaker of a receiver opens
SHORTEST_OPEN, LONGEST_OPEN = timedelta(seconds=30), timedelta(minutes=15)

_SLOW_DOWN = frozenset({429, 502, 503, 504})


class Verdict(StrEnum):
    """What an answer's status says of a delivery."""

    DELIVERED = "delivered"
    FAILED = "failed"  # to be sent again
    GONE = "gone"  # the receiver wants no more of them


def judge(status: int) -> Verdict:
    """Only 2xx is a success; a redirect is a failure like any other, for it is never followed."""
    if 200 <= status < 300:  # noqa: PLR2004
        return Verdict.DELIVERED
    return Verdict.GONE if status == 410 else Verdict.FAILED  # noqa: PLR2004


def wait(attempts: int, *, jitter: float) -> timedelta | None:
    """How long after the failure of attempt number `attempts` the next one is due; None: there is none.

    jitter: a number drawn from 0 to 1.
    """
    if attempts >= len(SCHEDULE):
        return None
    return timedelta(seconds=SCHEDULE[attempts] * (1 + JITTER * (2 * jitter - 1)))


def breaker(failures: int) -> timedelta | None:
    """How long a receiver that failed so often in a row gets nothing; then one delivery tries it. None: it gets all."""
    if failures < FAILURES:
        return None
    return min(LONGEST_OPEN, SHORTEST_OPEN * (1 << min(failures - FAILURES, 10)))


def asked_wait(status: int, header: str | None, *, now: datetime) -> timedelta | None:
    """What `Retry-After` of a receiver that is too busy asks for, at most a day. RFC 9110, section 10.2.3."""
    if status not in _SLOW_DOWN or header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return min(LONGEST_WAIT, timedelta(seconds=int(text[:9])))
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    asked = (at if at.tzinfo else at.replace(tzinfo=UTC)) - now
    return min(LONGEST_WAIT, max(timedelta(0), asked))
