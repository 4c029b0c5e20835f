"""`tenon train SPEC --out DIR`: one training job on this machine; the same command on the same folder goes on."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from pydantic import ValidationError

from tenon.output import CommandError, answer_json, answer_table, console
from trainer.contract.bucket import REPORT
from trainer.contract.job import TrainingJob

if TYPE_CHECKING:
    from trainer.settings import Settings

STEPS = ("prepare", "train", "evaluate")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("spec", type=Path, metavar="SPEC", help="YAML or JSON of a TrainingJob")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="report, metrics, checkpoints, adapter")


def run(options: argparse.Namespace) -> int:
    """Train and evaluate; the exit code is the trainer's."""
    from trainer.__main__ import ended
    from trainer.pipeline import run_step
    from trainer.settings import Settings
    from trainer.sinks import ConsoleSink

    settings = Settings(job=read_spec(options.spec), attempt_url=str(options.out), work=options.out / "work")
    bar = ConsoleSink(console(stderr=True))

    def steps() -> None:
        for name in STEPS:
            run_step(name, settings, bar)

    try:
        code = ended(steps)
    finally:
        bar.close()
    if code == 0:
        _answer(settings, as_json=options.json)
    return int(code)


def read_spec(path: Path) -> TrainingJob:
    """The job in a file. Raises CommandError naming every wrong field."""
    try:
        return TrainingJob.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path}: cannot be read ({error}); name a YAML or JSON file") from error
    except yaml.YAMLError as error:
        raise CommandError(f"{path}: is neither YAML nor JSON ({error}); mend the syntax") from error
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc'])) or 'document'}: {fault['msg']}" for fault in error.errors()]
        raise CommandError(f"{path}: is no training job: {'; '.join(faults)}") from error


def _answer(settings: "Settings", *, as_json: bool) -> None:
    report = json.loads((Path(settings.attempt_url) / REPORT).read_text(encoding="utf-8"))
    if as_json:
        answer_json(report)
    else:
        shown = ("status", "rows", "evaluationRows", "steps", "tokens", "tokensPerSecond", "lossBefore", "lossAfter")
        rows = [(name, report[name]) for name in (*shown, "adapterDigest")]
        answer_table(f"{settings.attempt_url}", ("figure", "value"), rows)
