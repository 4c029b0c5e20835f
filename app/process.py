"""One process of ours: its log lines, its signals, its loop."""

import logging
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

from app.broker.queue import BrokerUnavailable
from app.store.engine import StoreUnavailable
from app.workflows.workflow import WorkflowsUnavailable

PAUSE_SECONDS = 0.15

log = logging.getLogger(__name__)


def log_lines(service: str) -> None:
    """Log to stderr, one line each, with the name of the service."""
    form = f"%(asctime)s {service} %(levelname)s %(message)s"
    logging.basicConfig(level=logging.INFO, format=form, stream=sys.stderr)


def stop_signal() -> threading.Event:
    """An event that SIGTERM and Ctrl-C set."""
    stop = threading.Event()

    def ask(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)
    return stop


def repeat(round_: Callable[[], None], *, until: threading.Event, pause_seconds: float = PAUSE_SECONDS) -> None:
    """Run rounds with a pause between them. An outage is logged once and waited out; other faults end the process."""
    log.info("ready")
    told = ""
    while not until.is_set():
        try:
            round_()
            told = ""
        except (StoreUnavailable, BrokerUnavailable, WorkflowsUnavailable) as error:
            if (text := str(error)) != told:
                log.warning("%s; trying again", text)
                told = text
        until.wait(pause_seconds)
