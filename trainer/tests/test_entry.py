import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from trainer.__main__ import ended, main
from trainer.contract import steps
from trainer.contract.job import TrainingJob
from trainer.contract.recipe import Hyperparameters
from trainer.contract.steps import Exit
from trainer.model.loss import summed_loss
from trainer.outcomes import BadInput, Killed, Stopped, Unavailable
from trainer.pipeline import run_step
from trainer.sinks import Sinks, StatusSink
from trainer.tests import toy
from trainer.tests.conftest import MakeSettings


@pytest.mark.parametrize(
    ("outcome", "code"),
    [(BadInput("b"), 2), (Unavailable("u"), 1), (Stopped("s"), 75), (Killed("k"), 143), (OSError(28, "No space"), 1)],
)
def test_each_outcome_has_its_exit_code(outcome: Exception, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    def step() -> None:
        raise outcome

    assert ended(step) == code
    assert capsys.readouterr().err.count("\n") == 1


def _told(job: TrainingJob, tmp_path: Path) -> dict[str, str]:
    return {steps.JOB: job.to_parameter(), steps.ATTEMPT: "1", steps.BUCKET_URL: str(tmp_path / "bucket")}


BAD: dict[str, tuple[Callable[[TrainingJob, Path], dict[str, str]], str]] = {
    "nothing set": (lambda *_: {}, "TENON_JOB, TENON_ATTEMPT, TENON_BUCKET_URL: not set"),
    "no job": (lambda job, path: {**_told(job, path), steps.JOB: "%%%"}, "TENON_JOB: is no base64url JSON"),
    "attempt 0": (lambda job, path: {**_told(job, path), steps.ATTEMPT: "0"}, "'0' is no attempt number"),
    "unknown recipe": (
        lambda job, path: _told(job.model_copy(update={"recipe": "nope"}), path),
        "'nope' is not in trainer/recipes",
    ),
    "no data": (lambda job, path: _told(job.model_copy(update={"data": "nowhere"}), path), "nowhere: is no file"),
    "no base": (lambda job, path: _told(job.model_copy(update={"base": "nowhere"}), path), "base model: nowhere"),
    "other base": (
        lambda job, path: _told(job.model_copy(update={"base_digest": "0" * 64}), path),
        "it is another folder",
    ),
}


@pytest.mark.parametrize(("environment", "text"), BAD.values(), ids=BAD)
def test_bad_input_ends_with_2_and_one_line_that_says_why(
    job: TrainingJob,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    environment: Callable[[TrainingJob, Path], dict[str, str]],
    text: str,
) -> None:
    assert main(["prepare"], environment(job, tmp_path)) == Exit.BAD_INPUT

    (line,) = capsys.readouterr().err.splitlines()
    assert text in line


def test_a_step_before_its_turn_says_which_to_run_first(make_settings: MakeSettings) -> None:
    for name, first in (("train", "prepare"), ("evaluate", "prepare"), ("publish", "evaluate")):
        with pytest.raises(BadInput, match=f"run the step {first} first"):
            run_step(name, make_settings(), Sinks())


def test_rows_that_are_all_too_long_leave_nothing_to_train(make_settings: MakeSettings, tmp_path: Path) -> None:
    long = {"prompt": "why " * 200, "completion": "so"}
    data = toy.write_rows(tmp_path / "long.jsonl", [long])

    with pytest.raises(BadInput, match=r"0 usable rows of 1 .1 longer than a packed row; width is 96."):
        run_step("prepare", make_settings(data=str(data)), Sinks())


def test_dropped_rows_are_counted_by_reason(make_settings: MakeSettings, tmp_path: Path) -> None:
    rows = toy.rows(20)
    data = toy.write_rows(tmp_path / "some.jsonl", [*rows, rows[0], {"prompt": "why " * 200, "completion": "so"}])
    run_step("prepare", make_settings(data=str(data)), Sinks())

    report = json.loads((tmp_path / "out/report.json").read_text())

    assert report["rows"] == 20
    assert report["dropped"] == {"copy of another row": 1, "longer than a packed row": 1}


def test_another_data_set_in_the_same_folder_is_refused(make_settings: MakeSettings, tmp_path: Path) -> None:
    run_step("prepare", make_settings(), Sinks())
    data = toy.write_rows(tmp_path / "other.jsonl", toy.rows(20))

    with pytest.raises(BadInput, match="give each job a folder of its own"):
        run_step("prepare", make_settings(data=str(data)), Sinks())


def test_a_training_that_diverges_ends_as_bad_input(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_step("prepare", make_settings(), Sinks())
    monkeypatch.setattr(
        "trainer.model.objective.summed_loss", lambda model, rows: summed_loss(model, rows) * float("nan")
    )

    with pytest.raises(BadInput, match="5 updates in a row"):
        run_step("train", make_settings(), Sinks())


def test_a_status_endpoint_that_is_not_there_harms_nothing(tmp_path: Path) -> None:
    sink = StatusSink("http://127.0.0.1:9/status", tmp_path / "no-token")

    sink.begin("train")
    sink.progress(1, 2, {"loss": 1.0})
    sink.finish({"version": "v"})


def test_an_unknown_step_is_refused_by_the_program_itself() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "trainer", "fly"], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == Exit.BAD_INPUT
    said = done.stderr.splitlines()[-1]
    assert said == "trainer fly: is no step; use one of prepare, train, evaluate, publish, search, trial, drift"


def test_hyperparameters_of_a_job_override_the_recipe(job: TrainingJob) -> None:
    from trainer.recipes import recipe_of

    tuned = job.model_copy(update={"hyperparameters": Hyperparameters(rank=2, learning_rate=0.5)})

    assert (recipe_of(tuned).rank, recipe_of(tuned).learning_rate, recipe_of(tuned).width) == (2, 0.5, 96)
