"""`tenon data SPEC --out DIR`: the rows of a training job, filtered and tokenised on this machine, and their card."""

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tenon.output import CommandError, answer_json, answer_table, answer_text, console
from tenon.stopping import signals_end_the_command
from tenon.train import read_spec
from trainer.contract.bucket import PREPARED
from trainer.contract.job import TrainingJob

if TYPE_CHECKING:
    from trainer.data.preview import Preview


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("spec", type=Path, metavar="SPEC", help="YAML or JSON of a TrainingJob")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="prepared data, data card, report")
    parser.add_argument(
        "--preview", type=_number, default=0, metavar="N", help="show the first N rows; what is learned is marked"
    )


def run(options: argparse.Namespace) -> int:
    """Prepare the data; the exit code is the trainer's."""
    from trainer.__main__ import ended
    from trainer.durability.lock import alone_in
    from trainer.pipeline import run_step
    from trainer.settings import Settings
    from trainer.sinks import ConsoleSink

    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"{options.out}: {error.strerror}; give a folder that can be written") from None
    settings = Settings(job=read_spec(options.spec), attempt_url=str(options.out), work=options.out / "work")
    bar = ConsoleSink(console(stderr=True))
    previews: list[Preview] = []

    def steps() -> None:
        try:
            with alone_in(settings.work):
                run_step("prepare", settings, bar)
            bar.finish({})
            previews.extend(_previews(settings.job, options.out, options.preview))
        finally:
            bar.close()  # the reason of a failure is the last line on stderr

    with signals_end_the_command():
        code = ended(steps)
    if code == 0:
        _answer(options.out, previews, as_json=options.json)
    return int(code)


def _previews(job: TrainingJob, out: Path, number: int) -> "list[Preview]":
    """The first documents as they are trained on."""
    from trainer.data.dataset import Dataset
    from trainer.data.masks import FILES, ChatTokenizer
    from trainer.data.preview import preview
    from trainer.model.source import fetched

    if not number:
        return []
    tokenizer = ChatTokenizer(fetched(job, out / "work", only=FILES))
    return preview(Dataset.load(out / PREPARED).training, tokenizer, number)


def _answer(out: Path, previews: "list[Preview]", *, as_json: bool) -> None:
    from trainer.data.card import JSON

    card = json.loads((out / PREPARED / JSON).read_text(encoding="utf-8"))
    if as_json:
        answer_json({"card": card, "preview": [row.model_dump(mode="json", by_alias=True) for row in previews]})
        return
    answer_table(str(out / PREPARED), ("figure", "training", "held-out"), _figures(card))
    for row in previews:
        answer_text(f"\n--- row {row.line}{', rejected' if row.rejected else ''}\n{row.marked}\n")


def _figures(card: Mapping[str, Any]) -> Iterator[tuple[str, object, object]]:
    training, held_out = card["training"], card["evaluation"]
    yield "rows read", training["read"], held_out["read"] if card["evaluationData"] else "-"
    for reason in sorted({*training["dropped"], *held_out["dropped"]}):
        yield f"dropped: {reason}", training["dropped"].get(reason, 0), held_out["dropped"].get(reason, 0)
    for name, key in (("rows kept", "rows"), ("tokens", "tokens"), ("learned tokens", "learnedTokens")):
        yield name, training[key], held_out[key]
    packing = card["packing"]
    yield f"packed rows of {packing['width']} tokens", packing["rows"], "-"
    yield "share of them that is no padding", f"{packing['efficiency']:.3f}", "-"
    for kind, hits in sorted(card["personalData"].items()):
        yield f"personal data: {kind}, both parts", hits, "-"
    for language, rows in sorted(card["languages"].items()):
        yield f"language: {language}, both parts", rows, "-"
    yield "rows with abuse, which are kept", card["abusiveRows"], "-"
    yield "share of copies", f"{card['duplicateRate']:.3f}", "-"
    yield "share that stands in the training rows", "-", f"{card['leakRate']:.3f}"


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of rows; give 0 or more")
    return int(text)
