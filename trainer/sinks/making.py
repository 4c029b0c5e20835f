"""The sinks of a step, as its environment asks for them."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from urllib.parse import urlsplit

from rich.console import Console

from trainer.attempt import AttemptFolder
from trainer.contract import steps
from trainer.outcomes import BadInput
from trainer.recipes import recipe_of
from trainer.settings import Settings
from trainer.sinks.console import ConsoleSink
from trainer.sinks.detached import ClosedSink, Detached
from trainer.sinks.sink import Sink, Sinks
from trainer.sinks.status import StatusSink
from trainer.sinks.trackers import FOLDER, TRACKERS, Experiment, TrackerSink, chosen

SECONDS_TO_CLOSE = 20.0  # for all together, of a pod's grace


@contextmanager
def opened(settings: Settings, environment: Mapping[str, str], console: Console | None) -> Iterator[Sinks]:
    """All sinks of a step, until the block ends. console: None where there is no terminal. Raises BadInput."""
    detached = [Detached(name, make) for name, make in wanted(settings, environment)]
    bar = ConsoleSink(console) if console is not None else None
    sinks: list[Sink] = [*detached, *([bar] if bar else [])]
    try:
        yield Sinks(sinks)
    finally:
        if bar is not None:
            bar.close()
        until = time.monotonic() + SECONDS_TO_CLOSE
        for sink in detached:
            sink.close(until=until)


def wanted(settings: Settings, environment: Mapping[str, str]) -> list[tuple[str, Callable[[], ClosedSink]]]:
    """Each sink that leaves this process, by name, and how it is opened. Raises BadInput."""
    found: list[tuple[str, Callable[[], ClosedSink]]] = []
    if settings.status_url is not None:
        found.append(("status", partial(StatusSink, settings.status_url, settings.status_token)))
    port, gateway = environment.get(steps.METRICS_PORT), environment.get(steps.PUSHGATEWAY_URL)
    if port or gateway:
        from trainer.sinks.prometheus import Address, PrometheusSink

        if gateway and urlsplit(gateway).scheme not in {"http", "https"}:
            raise BadInput(f"{steps.PUSHGATEWAY_URL}: {gateway!r} is no http:// or https:// URL; mend it")
        address = Address.parsed(port, name=steps.METRICS_PORT) if port else None
        found.append(("prometheus", partial(PrometheusSink, _labels(settings), address=address, gateway=gateway)))
    trackers = chosen(environment.get(steps.TRACKERS, ""), environment, variable=steps.TRACKERS)
    return [*found, *((name, partial(_tracker, name, settings, environment)) for name in trackers)]


def _tracker(name: str, settings: Settings, environment: Mapping[str, str]) -> TrackerSink:
    attempt = AttemptFolder.of(settings)
    trial = "" if settings.trial is None else f"-t{settings.trial}"  # each trial of a search is a run of its own
    experiment = Experiment(
        name=f"{settings.job.job}-{settings.attempt}{trial}",
        group=f"{settings.job.tenant}-{settings.job.model}",
        labels=_labels(settings),
        parameters=recipe_of(settings.job).model_dump(mode="json", by_alias=True),
        folder=attempt.local / FOLDER / f"{name}{trial}",
        environment=environment,
    )
    return TrackerSink(partial(TRACKERS[name], experiment), experiment.folder, attempt)


def _labels(settings: Settings) -> dict[str, str]:
    return {"tenant": settings.job.tenant, "job": settings.job.job, "version": settings.job.version}
