"""One process of ours: its signals and its loop."""

import logging
import random
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

from app.broker.queue import BrokerUnavailable
from app.metrics import Metrics
from app.store.engine import StoreUnavailable
from app.workflows.workflow import WorkflowsUnavailable

PAUSE_SECONDS = 0.15
LONGEST_PAUSE_SECONDS = 10.0  # in an outage; far below what an alert of a stalled loop waits for

log = logging.getLogger(__name__)


def stop_signal() -> threading.Event:
    """An event that SIGTERM and Ctrl-C set."""
    stop = threading.Event()

    def ask(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)
    return stop


def repeat(
    round_: Callable[[], None],
    *,
    until: threading.Event,
    pause_seconds: float = PAUSE_SECONDS,
    metrics: Metrics | None = None,
) -> None:
    """Run rounds with a pause between them; other faults than an outage end the process.

    An outage is logged once and waited out, never with a restart. The pauses grow while it lasts and vary, so that not
    all processes come back in one moment.
    """
    log.info("ready")
    told, outages = "", 0
    while not until.is_set():
        began = time.monotonic()
        try:
            round_()
        except (StoreUnavailable, BrokerUnavailable, WorkflowsUnavailable) as error:
            outages += 1
            if metrics is not None:
                metrics.outage()
            if (text := str(error)) != told:
                log.warning("%s; trying again", text)
                told = text
        else:
            if told:
                log.info("going on after %d rounds without an answer", outages)
            told, outages = "", 0
            if metrics is not None:
                metrics.round_done(time.monotonic() - began)
        until.wait(pause(outages, least=pause_seconds))


def pause(outages: int, *, least: float, chance: Callable[[], float] = random.random) -> float:
    """Seconds until the next round: `least`, and in an outage from half of to all of twice as much each time."""
    if outages == 0:
        return least
    longest = min(LONGEST_PAUSE_SECONDS, least * 2.0 ** min(outages, 20))
    return longest * (0.5 + chance() / 2)
