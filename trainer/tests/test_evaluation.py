"""The step `evaluate`: what it leaves, what it keeps when it is stopped, what it refuses."""

import dataclasses
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from trainer import evaluate
from trainer.attempt import AttemptFolder
from trainer.contract.bucket import PARTIAL
from trainer.contract.checks import Checks
from trainer.contract.job import TrainingJob
from trainer.contract.recipe import Recipe
from trainer.contract.report import Preference, Report
from trainer.data.masks import ChatTokenizer
from trainer.data.packing import PackedRow, pack, packed
from trainer.durability.interruption import Interruption
from trainer.evaluation.generation import prompts_of
from trainer.evaluation.intervals import wilson
from trainer.evaluation.losses import document_losses
from trainer.evaluation.partial import Partial
from trainer.model.making import tuned
from trainer.outcomes import BadInput, Killed
from trainer.pipeline import run_step
from trainer.recipes import recipe_of
from trainer.settings import Settings
from trainer.sinks import Sinks
from trainer.tests import toy
from trainer.tests.conftest import TOY_RECIPE, MakeSettings
from trainer.tests.tuned import documents, leave_attempt

WithChecks = Callable[..., Settings]


def _evaluated(settings: Settings) -> Report:
    evaluate.run(settings, Sinks())
    report = AttemptFolder.of(settings).report()
    assert report is not None
    return report


@pytest.fixture(scope="module")
def trained(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An attempt before its evaluation, of any checks."""
    folder = tmp_path_factory.mktemp("trained") / "attempt"
    job = TrainingJob(base=str(base), data="its rows", recipe="toy")
    leave_attempt(folder, job, Recipe.model_validate(yaml.safe_load(TOY_RECIPE)))
    return folder


@pytest.fixture
def with_checks(trained: Path, make_settings: MakeSettings) -> WithChecks:
    def make(**checks: Any) -> Settings:
        settings = make_settings("job", checks=Checks(**checks))
        shutil.copytree(trained, settings.attempt_url)
        return settings

    return make


@pytest.fixture
def settings(with_checks: WithChecks) -> Settings:
    return with_checks(generations=3, generated_tokens=12)


@pytest.mark.requirement("C62")
def test_an_evaluation_sets_both_models_side_by_side_with_intervals(with_checks: WithChecks) -> None:
    report = _evaluated(with_checks(generations=3, generated_tokens=12, safety="shipped"))
    found = report.evaluation
    assert found is not None
    assert found.loss is not None
    assert (report.status, report.loss_before) == ("evaluated", found.loss.before.value)
    assert found.loss.after.high < found.loss.before.low
    assert found.perplexity is not None
    assert math.isclose(found.perplexity.after.value, math.exp(found.loss.after.value))
    assert set(found.scores) == {"exactMatch", "rougeL", "bleu", "chrf"}
    assert found.scores["chrf"].after.value > found.scores["chrf"].before.value
    assert found.safety is not None
    assert found.safety.prompts == 26
    assert found.curve[0] > found.curve[-1]


def test_samples_are_held_out_rows_as_they_were_written(settings: Settings) -> None:
    found = _evaluated(settings).evaluation
    assert found is not None
    held_out = {
        turns[1]["content"]: turns[0]["content"] for turns in (row["messages"] for row in toy.rows(6, first=100))
    }
    assert len(found.samples) == 3
    for sample in found.samples:
        assert held_out[sample.reference] in sample.prompt


def test_the_held_out_loss_is_that_of_the_documents_alone(base: Path, make_settings: MakeSettings) -> None:
    recipe = recipe_of(make_settings().job)
    model, rows = tuned(base, recipe, seed=0), documents(base, toy.rows(5))
    model.training(mode=False)
    together = np.concatenate([document_losses(model, row) for row in pack(rows, 96 * 5)])
    alone = np.concatenate([document_losses(model, packed([row])) for row in rows])
    np.testing.assert_allclose(np.sort(together, axis=0), np.sort(alone, axis=0), rtol=1e-5)


def test_prompts_end_where_the_last_learned_answer_begins(base: Path) -> None:
    (prompt,) = prompts_of(documents(base, toy.rows(1)), number=5, seed=0)
    tokenizer = ChatTokenizer(base)
    question, answer = (turn["content"] for turn in toy.rows(1)[0]["messages"])
    assert tokenizer.decode(prompt.reference) == answer
    assert tokenizer.decode(prompt.ids).endswith("assistant\n")
    assert question in tokenizer.decode(prompt.ids)


def test_a_killed_evaluation_measures_only_what_is_left(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _evaluated(settings)
    folder = AttemptFolder.of(settings)
    _forget(folder, whole, keep=("losses before", "losses after", "answers before"))
    asked: list[PackedRow] = []
    monkeypatch.setattr("trainer.evaluation.examination.document_losses", lambda _, row: asked.append(row))

    again = _evaluated(settings)

    assert not asked
    assert again.evaluation == whole.evaluation


def _forget(folder: AttemptFolder, report: Report, *, keep: tuple[str, ...]) -> None:
    """As if the evaluation had been killed once these parts were done."""
    kept = json.loads(folder.read(PARTIAL) or b"")
    kept["parts"] = {name: part for name, part in kept["parts"].items() if name in keep}
    (folder.local / PARTIAL).write_text(json.dumps(kept))
    folder.write_report(report.model_copy(update={"status": "trained", "evaluation": None}))


def test_parts_of_other_checks_are_measured_anew(settings: Settings) -> None:
    whole = _evaluated(settings)
    folder = AttemptFolder.of(settings)
    kept = json.loads(folder.read(PARTIAL) or b"")
    kept["fingerprint"] = "another"
    kept["parts"]["losses before"] = [[1.0, 1.0]]
    (folder.local / PARTIAL).write_text(json.dumps(kept))
    folder.write_report(report=whole.model_copy(update={"status": "trained"}))

    assert _evaluated(settings).loss_before == whole.loss_before


@pytest.mark.parametrize("part", ["losses before", "answers before", "losses after"])
def test_a_signal_ends_the_evaluation_before_its_next_forward(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    stop: list[bool] = []
    once = Partial.once

    def stopped_at(partial: Partial, name: str, measure: Callable[[], Any]) -> Any:
        stop.extend([True] * (name == part))
        return once(partial, name, measure)

    monkeypatch.setattr(Partial, "once", stopped_at)
    monkeypatch.setattr(Interruption, "requested", property(lambda _: bool(stop)))
    with pytest.raises(Killed, match="what was measured is kept"):
        evaluate.run(settings, Sinks())

    kept = json.loads(AttemptFolder.of(settings).read(PARTIAL) or b'{"parts": {}}')["parts"]
    assert part not in kept
    assert (part == "losses before") or "losses before" in kept


def test_general_ability_is_measured_over_rows_of_any_form(with_checks: WithChecks, tmp_path: Path) -> None:
    rows = [{"prompt": f"How many are {n} and {n}?", "completion": f"They are {2 * n}."} for n in range(4)]
    general = toy.write_rows(tmp_path / "general.jsonl", rows)
    found = _evaluated(with_checks(generations=0, regression=str(general))).evaluation
    assert found is not None
    assert found.regression is not None
    assert found.regression.rows == 4
    assert found.regression.before != found.regression.after


def test_a_dead_judge_costs_its_figure_and_nothing_else(with_checks: WithChecks) -> None:
    dead = {"url": "http://127.0.0.1:9/v1", "model": "m"}
    report = _evaluated(with_checks(generations=2, generated_tokens=4, judge=dead))
    assert report.evaluation is not None
    assert (report.status, report.evaluation.judge) == ("evaluated", None)
    assert "does not answer" in report.evaluation.absent["judge"]


def test_what_a_judge_said_is_kept_with_the_rest(with_checks: WithChecks, monkeypatch: pytest.MonkeyPatch) -> None:
    said = Preference(wins=2, ties=0, losses=0, win_rate=wilson(2, 2))
    monkeypatch.setattr("trainer.evaluation.judge.preference", lambda *_, **__: said)
    settings = with_checks(generations=2, generated_tokens=4, judge={"url": "http://127.0.0.1:9/v1", "model": "m"})
    found = _evaluated(settings).evaluation
    assert found is not None
    assert found.judge == said
    assert "judge http://127.0.0.1:9/v1 m" in json.loads(AttemptFolder.of(settings).read(PARTIAL) or b"")["parts"]


BAD: dict[str, tuple[dict[str, str], str]] = {
    "no file": ({"regression": "nowhere.jsonl"}, "nowhere.jsonl: is no file"),
    "no prompts": ({"safety": "nowhere.jsonl"}, "nowhere.jsonl: is no file"),
    "no tasks": ({"tasks": "nowhere"}, "holds no task file"),
}


@pytest.mark.parametrize(("checks", "text"), BAD.values(), ids=BAD)
def test_wrong_checks_are_refused_before_a_model_is_loaded(
    with_checks: WithChecks, monkeypatch: pytest.MonkeyPatch, checks: dict[str, str], text: str
) -> None:
    settings = with_checks(**checks)
    monkeypatch.setattr(evaluate, "made", lambda *_, **__: pytest.fail("loaded a model"))
    with pytest.raises(BadInput, match=text):
        evaluate.run(settings, Sinks())
    with pytest.raises(BadInput, match=text):
        run_step("prepare", dataclasses.replace(settings, attempt_url=f"{settings.attempt_url}-new"), Sinks())


def test_other_checks_of_an_evaluated_job_are_measured_and_no_part_twice(
    with_checks: WithChecks, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = with_checks(generations=2, generated_tokens=4)
    whole = _evaluated(settings).evaluation
    assert whole is not None
    monkeypatch.setattr("trainer.evaluation.examination.document_losses", lambda *_: pytest.fail("measured again"))
    assert _evaluated(settings).evaluation == whole

    other = settings.job.checks.model_copy(update={"answer": "(zzz)"})
    changed = dataclasses.replace(settings, job=settings.job.model_copy(update={"checks": other}))
    found = _evaluated(changed).evaluation

    assert found is not None
    assert "exactMatch" in whole.scores
    assert "exactMatch" not in found.scores
    folder = AttemptFolder.of(settings)
    report = folder.report()
    assert report is not None
    folder.write_report(report.model_copy(update={"status": "published"}))
    assert _evaluated(changed).evaluation == found
    with pytest.raises(BadInput, match="checks: differ from those of the published version"):
        evaluate.run(settings, Sinks())


def test_a_loss_that_is_no_number_is_refused(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = np.array([[math.nan, 1.0]])
    monkeypatch.setattr(
        "trainer.evaluation.examination.document_losses",
        lambda _, row: np.repeat(nothing, int((row.positions == 0).sum()), axis=0),
    )
    with pytest.raises(BadInput, match="held-out loss of the base model: is nan"):
        evaluate.run(settings, Sinks())
