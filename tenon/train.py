"""`tenon train SPEC --out DIR`: one training job on this machine; the same command on the same folder goes on."""

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tenon.output import CommandError, answer_json, answer_table, console
from tenon.plan import price, show
from tenon.searching import search, show_search
from tenon.stopping import signals_end_the_command
from trainer.contract.bucket import REPORT
from trainer.contract.job import TrainingJob

if TYPE_CHECKING:
    from trainer.settings import Settings

STEPS = ("prepare", "train", "evaluate")
MOST_RANKS = 64  # of one machine


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("spec", type=Path, metavar="SPEC", help="YAML or JSON of a TrainingJob")
    parser.add_argument("--out", type=Path, metavar="DIR", help="report, metrics, checkpoints, adapter")
    parser.add_argument("--nproc", type=_ranks, default=1, metavar="N", help="ranks that share the work (default: 1)")
    parser.add_argument("--plan", action="store_true", help="show batch, steps, memory and time, and train nothing")
    parser.add_argument(
        "--price-per-hour", type=price, metavar="MONEY", help="with --plan: of one GPU, or of the machine without"
    )


def run(options: argparse.Namespace) -> int:
    """Train and evaluate; the exit code is the trainer's."""
    from trainer.__main__ import ended

    if options.plan:
        ranks = options.nproc if options.nproc > 1 else None
        return show(
            read_spec(options.spec), out=options.out, ranks=ranks, price=options.price_per_hour, as_json=options.json
        )
    if options.out is None:
        raise CommandError("--out: is missing; name the folder that the training writes, or ask for --plan")
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"{options.out}: {error.strerror}; give a folder that can be written") from None
    job, out = read_spec(options.spec), options.out

    with signals_end_the_command() as stop_if_told:
        code = ended(lambda: _steps(job, out, ranks=options.nproc, stop_if_told=stop_if_told))
    if code == 0:
        _answer(out, as_json=options.json)
        if job.search is not None and not options.json:
            show_search(out)
    return int(code)


def _steps(job: TrainingJob, out: Path, *, ranks: int, stop_if_told: Callable[[], None]) -> int:
    """Exit code of the step that ended badly, or 0. Raises what a step in this process raises."""
    from trainer.durability.lock import alone_in
    from trainer.settings import Footprint, Settings

    footprint = Footprint.from_environment(os.environ)
    settings = Settings(job=job, attempt_url=str(out), work=out / "work", footprint=footprint)
    divided = _divided(settings, ranks)
    with alone_in(settings.work):
        for name in STEPS:
            stop_if_told()
            if code := _step(name, settings, divided):
                return code
    return 0


def _step(name: str, settings: "Settings", divided: dict[str, str]) -> int:
    """divided: environment of the ranks, when there are several."""
    from trainer.launch import is_needed, launch
    from trainer.pipeline import run_step
    from trainer.sinks.making import opened

    if settings.job.search is not None and name == "train":
        return search(settings, divided)
    if is_needed(name, divided):  # the first rank has the terminal
        return launch(name, divided)
    with opened(settings, os.environ, console(stderr=True)) as sinks:
        run_step(name, settings, sinks)
    return 0


def _divided(settings: "Settings", ranks: int) -> dict[str, str]:
    """Environment of the ranks."""
    from trainer.contract.steps import FOLDER, JOB, RANKS_PER_NODE

    return {**os.environ, JOB: settings.job.to_parameter(), FOLDER: settings.attempt_url, RANKS_PER_NODE: str(ranks)}


def _ranks(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MOST_RANKS)) and 1 <= int(text) <= MOST_RANKS):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of ranks; give 1 to {MOST_RANKS}")
    return int(text)


def read_spec(path: Path) -> TrainingJob:
    """The job in a file. Raises CommandError naming every wrong field and its line."""
    from generators.inputs.reading import InputErrors, parse, read_document

    document = read_document(path, shown_as=str(path))
    job = parse(document, TrainingJob)
    if job is None:
        raise CommandError(f"no training job:\n{InputErrors(document.errors)}")
    return job


def _answer(out: Path, *, as_json: bool) -> None:
    report = json.loads((out / REPORT).read_text(encoding="utf-8"))
    if as_json:
        answer_json(report)
    else:
        shown = ("status", "rows", "evaluationRows", "steps", "tokens", "tokensPerSecond", "lossBefore", "lossAfter")
        rows = [(name, report[name]) for name in (*shown, "adapterDigest")]
        answer_table(f"{out}", ("figure", "value"), rows)
