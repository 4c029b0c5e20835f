"""`prepare` as a whole: what is kept and dropped by which rule, and what it says where nothing can be trained on."""

import json
import os
import random
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from trainer.contract.bucket import PREVIEW
from trainer.contract.filters import Filters
from trainer.contract.recipe import Hyperparameters, Recipe
from trainer.data.card import JSON, MARKDOWN, Card
from trainer.data.dataset import Dataset
from trainer.data.filters import CONTAMINATED, RowFilters
from trainer.data.intake import Intake
from trainer.data.masks import ChatTokenizer, Document
from trainer.data.progress import Progress
from trainer.data.rows import Row, Turn
from trainer.data.selection import Selection
from trainer.data.spool import Spool
from trainer.durability.interruption import Interruption
from trainer.outcomes import BadInput, Killed
from trainer.pipeline import run_step
from trainer.sinks import Sinks
from trainer.tests import toy
from trainer.tests.conftest import MakeSettings

GOLDEN = Path(__file__).parent / "golden" / "preparation"
T = TypeVar("T")
MOVING = {"template_sha256", "tokenizer_sha256", "fingerprint", "data", "evaluation_data", "tests"}


@pytest.fixture
def prepare(make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Runs the step with a recipe of 384 tokens; returns the folder `prepared`. filters: by name."""
    recipe = Recipe(width=384, rank=4)

    def run(filters: dict[str, Any] | None = None, *, recipe: Recipe = recipe, **changes: Any) -> Path:
        monkeypatch.setattr("trainer.prepare.recipe_of", lambda job: recipe.with_overrides(job.hyperparameters))
        settings = make_settings(
            filters=Filters.model_validate(filters or {}), hyperparameters=Hyperparameters(), **changes
        )
        run_step("prepare", settings, Sinks())
        return Path(settings.attempt_url) / "prepared"

    return run


def card_of(prepared: Path) -> Card:
    return Card.model_validate_json((prepared / JSON).read_text())


def lines_of(prepared: Path) -> list[int]:
    return [document.line for document in Dataset.load(prepared).training]


def answers(prepared: Path, base: Path) -> str:
    tokenizer = ChatTokenizer(base)
    return "\n".join(tokenizer.decode(document.ids.tolist()) for document in Dataset.load(prepared).training)


def written(path: Path, *rows: object) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.requirement("E75")
def test_each_rule_keeps_and_drops_what_the_golden_card_says(prepare: Callable[..., Path]) -> None:
    prepared = prepare(
        {"maxLeakShare": 0.5, "decontaminate": [str(GOLDEN / "tests.jsonl")]},
        data=str(GOLDEN / "rows.jsonl"),
        evaluation=str(GOLDEN / "heldout.jsonl"),
        data_licence="CC0-1.0",
    )

    found = json.loads(card_of(prepared).model_dump_json(by_alias=True, indent=1, exclude=MOVING))
    del found["filters"]["decontaminate"]  # a path of this machine
    found["keptLines"] = lines_of(prepared)
    if os.environ.get("TENON_UPDATE_GOLDEN"):
        (GOLDEN / "card.json").write_text(json.dumps(found, indent=1) + "\n")
    assert found == json.loads((GOLDEN / "card.json").read_text())


def test_personal_data_is_put_out_of_what_is_trained_on(prepare: Callable[..., Path], base: Path) -> None:
    text = answers(prepare(data=str(GOLDEN / "rows.jsonl")), base)

    for kind in ("email", "phone", "iban", "card", "key", "ip"):
        assert f"<{kind}>" in text
    assert "hilltop" not in text


@pytest.mark.parametrize(("choice", "rows"), [("keep", 12), ("redact", 12), ("drop", 8)])
def test_rows_with_personal_data_are_treated_as_the_job_says(
    prepare: Callable[..., Path], choice: str, rows: int
) -> None:
    card = card_of(prepare({"personalData": choice}, data=str(GOLDEN / "rows.jsonl")))

    assert card.training.rows == rows
    assert ("holds personal data" in card.training.dropped) == (choice == "drop")


@pytest.mark.requirement("E75")
def test_a_row_of_a_test_is_dropped_however_short_it_is_and_whatever_was_redacted(
    prepare: Callable[..., Path], tmp_path: Path
) -> None:
    short = [{"prompt": "What is the capital of Freedonia?", "completion": "It is Sylvania."}]
    short.append({"prompt": "WHAT is the capital of Freedonia", "completion": "It is, Sylvania"})
    text = "Write to a.b@example.com about your boat at the old quay of the town"
    address = {"prompt": "Whom shall I write to", "completion": text}
    data = written(tmp_path / "d.jsonl", *toy.rows(20), short[1], address)
    tests = written(tmp_path / "t.jsonl", short[0], {**address, "prompt": "Please say whom I shall write to"})

    for choice, dropped in (("redact", 2), ("keep", 2)):
        card = card_of(prepare({"decontaminate": [tests], "personalData": choice}, name=choice, data=data))
        assert card.training.dropped[CONTAMINATED] == dropped


def test_a_card_for_people_stands_beside_the_one_for_programs(prepare: Callable[..., Path]) -> None:
    text = (prepare(data=str(GOLDEN / "rows.jsonl"), data_licence="CC0-1.0") / MARKDOWN).read_text()

    assert "licence CC0-1.0" in text
    assert "| near copy of another row | 1 |" in text


def test_near_copies_stay_when_they_are_wanted_but_on_one_side(prepare: Callable[..., Path], tmp_path: Path) -> None:
    talk = [toy.rows(1, first=number)[0] for number in range(10)]
    long = {"prompt": " ".join(f"w{place}" for place in range(60)), "completion": "yes of course"}
    near = {**long, "completion": "yes of course indeed"}
    data = written(tmp_path / "d.jsonl", *talk, long, near)

    card = card_of(prepare({"nearDuplicates": None}, data=data, evaluation=None))
    evaluation = {document.line for document in Dataset.load(tmp_path / "out/prepared").evaluation}

    assert card.training.rows + card.evaluation.rows == 12
    assert len({11, 12} & evaluation) != 1


def test_held_out_rows_that_leak_are_named_by_line(prepare: Callable[..., Path]) -> None:
    data, held = str(GOLDEN / "rows.jsonl"), str(GOLDEN / "heldout.jsonl")

    with pytest.raises(BadInput, match=r"1 of 3 held-out rows .* raise filters.maxLeakShare") as caught:
        prepare(data=data, evaluation=held)

    assert caught.value.details == (f"{held}:2: stands in training row 16",)


def test_every_row_that_could_be_held_out_being_like_another_is_refused(
    prepare: Callable[..., Path], tmp_path: Path
) -> None:
    data = written(tmp_path / "d.jsonl", *[{"prompt": "the same", "completion": "answer"}] * 3)

    with pytest.raises(BadInput, match="1 row is left; none can be held out; give more rows"):
        prepare(data=data, evaluation=None)


EMPTY: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "repetition": ({"prompt": "q", "completion": "no " * 60}, {}, "set filters.repetition to false"),
    "length": ({"prompt": "why not? " * 300, "completion": "a"}, {}, "give shorter ones"),
    "personal": ({"prompt": "q", "completion": "a@b.org"}, {"personalData": "drop"}, "personalData to redact"),
}


@pytest.mark.parametrize(("row", "filters", "remedy"), EMPTY.values(), ids=EMPTY)
def test_a_data_set_that_filters_leave_empty_says_which_to_relax(
    prepare: Callable[..., Path], tmp_path: Path, row: object, filters: dict[str, Any], remedy: str
) -> None:
    data = written(tmp_path / "d.jsonl", row)

    with pytest.raises(BadInput, match=rf"d.jsonl: 0 usable rows of 1 \(1 .*; width is 384\); .*{remedy}"):
        prepare(filters, data=data)


def test_a_file_above_the_allowed_size_is_refused(prepare: Callable[..., Path]) -> None:
    with pytest.raises(BadInput, match=r"filters.maxBytes allows 100"):
        prepare({"maxBytes": 100}, data=str(GOLDEN / "rows.jsonl"))


def test_rows_wider_than_the_model_takes_are_refused_before_any_is_read(prepare: Callable[..., Path]) -> None:
    with pytest.raises(BadInput, match="width: 4096 tokens are more than the base model's context"):
        prepare(recipe=Recipe(width=4096))


def test_held_out_rows_that_are_all_dropped_are_named_by_their_file(
    prepare: Callable[..., Path], tmp_path: Path
) -> None:
    held = written(tmp_path / "h.jsonl", {"prompt": "why not? " * 300, "completion": "a"})

    with pytest.raises(BadInput, match=r"h.jsonl: 0 usable rows of 1"):
        prepare(evaluation=held)


def test_pairs_whose_answers_are_the_same_teach_nothing(prepare: Callable[..., Path], tmp_path: Path) -> None:
    pairs = [
        {"prompt": f"question {number}?", "chosen": f"yes {number}", "rejected": f"no {number}"} for number in range(8)
    ]
    data = written(tmp_path / "d.jsonl", *pairs, {"prompt": "q", "chosen": "a@b.org", "rejected": "c@d.org"})

    prepared = prepare(recipe=Recipe(width=384, objective="dpo"), data=data, evaluation=None)

    assert card_of(prepared).training.dropped == {"chosen and rejected answers are the same": 1}
    assert len(Dataset.load(prepared).training) == 2 * card_of(prepared).training.rows


@pytest.mark.parametrize("doing", ["reading", "comparing", "writing"])
def test_a_preparation_that_is_asked_to_stop_ends_in_any_pass_and_can_be_run_again(
    prepare: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, doing: str
) -> None:
    over = Progress.over

    def asked(self: Progress, rows: Iterable[T], total: int, *, doing: str) -> Iterator[T]:
        if doing == stopping:
            self.interruption.request()
        return over(self, rows, total, doing=doing)

    stopping = doing
    monkeypatch.setattr(Progress, "over", asked)
    with pytest.raises(Killed):
        prepare(data=str(GOLDEN / "rows.jsonl"))

    monkeypatch.setattr(Progress, "over", over)
    assert card_of(prepare(data=str(GOLDEN / "rows.jsonl"))).training.rows == 12


@pytest.mark.requirement("C54")
def test_the_fingerprint_is_of_all_that_decides_the_tokens(prepare: Callable[..., Path], tmp_path: Path) -> None:
    rows = toy.write_rows(tmp_path / "rows.jsonl", toy.rows(30))
    more = toy.write_rows(tmp_path / "more.jsonl", toy.rows(31))
    prints = {
        card_of(prepare(filters, name=str(number), evaluation=None, data=str(data), seed=seed)).fingerprint
        for number, (filters, data, seed) in enumerate(
            [({}, rows, 0), ({"repetition": False}, rows, 0), ({}, rows, 1), ({"maxRows": 9}, rows, 0), ({}, more, 0)]
        )
    }

    assert len(prints) == 5


class OneToken(ChatTokenizer):
    """Makes one token of each row, so that only what `prepare` itself keeps of a row takes memory."""

    controls = ()

    def __init__(self) -> None:
        pass

    def documents(self, rows: Sequence[Row]) -> list[tuple[Document, ...]]:
        return [(Document(row.line, np.zeros(1, np.int32), np.ones(1, np.bool_)),) for row in rows]


def conversations(number: int) -> Iterator[Row]:
    """Rows of 8 words out of 200."""
    draw = random.Random(0)  # noqa: S311 - the same rows every time
    words = [f"w{place}" for place in range(200)]
    for line in range(1, number + 1):
        said = " ".join(draw.choices(words, k=7))
        yield Row(line, (Turn("user", said), Turn("assistant", draw.choice(words), learned=True)))


def kept_memory(rows: int, scratch: Path) -> int:
    """Bytes that are in use once so many rows are filtered, compared and split."""
    tracemalloc.start()
    with Spool(scratch) as spool:
        intake = Intake(RowFilters(Filters(), OneToken(), width=64), spool)
        taken = intake.take(conversations(rows), shown_as="d")
        selection = Selection(spool, intake, Filters(), Progress(Sinks(), Interruption()))
        selected = selection.of(taken, None, tests=[], seed=0)
        assert len(selected.training) + len(selected.evaluation) == rows
        kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return kept


@pytest.mark.requirement("E74")
def test_a_row_more_keeps_less_than_half_a_kilobyte_in_memory(tmp_path: Path) -> None:
    small, large = 700, 2100

    grown = kept_memory(large, tmp_path / "large") - kept_memory(small, tmp_path / "small")

    assert grown / (large - small) < 512  # so a million rows take half a GB, whatever their length


def test_the_first_rows_are_left_as_the_training_sees_them(prepare: Callable[..., Path]) -> None:
    prepared = prepare()
    rows = json.loads((prepared.parent / PREVIEW).read_text(encoding="utf-8"))["rows"]
    documents = Dataset.load(prepared).training
    assert len(rows) == 3
    for row, document in zip(rows, documents, strict=False):
        assert [token["id"] for token in row["tokens"]] == document.ids.tolist()
        assert [token["learned"] for token in row["tokens"]][1:] == document.learned[1:].tolist()
