import json
import shutil
import signal
from pathlib import Path

import pytest

from trainer.contract.report import Report
from trainer.contract.steps import Exit
from trainer.outcomes import BadInput
from trainer.pipeline import run_step
from trainer.publishing.manifest import verify
from trainer.settings import Settings
from trainer.sinks import Sinks
from trainer.tests.conftest import MakeSettings
from trainer.tests.dying import Death, train

STEPS = 8  # max_steps of the toy job; a checkpoint every second step


def _report(settings: Settings) -> Report:
    return Report.model_validate(json.loads((Path(settings.attempt_url) / "report.json").read_text()))


def _prepared(settings: Settings) -> Settings:
    run_step("prepare", settings, Sinks())
    return settings


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trained") / "straight"


@pytest.fixture
def straight(make_settings: MakeSettings, trained: Path, tmp_path: Path) -> Report:
    """The report of the training that nothing stopped, which is done once."""
    settings = make_settings("straight")
    if trained.exists():
        shutil.copytree(trained, tmp_path / "straight")
    else:
        run_step("train", _prepared(settings), Sinks())
        shutil.copytree(tmp_path / "straight", trained)
    return _report(settings)


DEATHS = {
    "in the middle of a global batch": Death("micro-step", 10),
    "at the last step": Death("step", STEPS),
}


@pytest.mark.requirement("E78", "C54")
@pytest.mark.parametrize("death", DEATHS.values(), ids=DEATHS)
def test_a_killed_training_goes_on_to_the_same_adapter(
    make_settings: MakeSettings, recipes: Path, straight: Report, death: Death
) -> None:
    settings = _prepared(make_settings())

    assert train(settings, recipes, death) == -signal.SIGKILL
    assert train(settings, recipes, Death()) == Exit.DONE

    assert _report(settings).adapter_digest == straight.adapter_digest
    assert _report(settings).tokens == straight.tokens


@pytest.mark.requirement("E78")
@pytest.mark.parametrize("number", [1, 4])
def test_a_stopped_training_saves_exits_75_and_goes_on(
    make_settings: MakeSettings, recipes: Path, straight: Report, number: int
) -> None:
    settings = _prepared(make_settings())

    assert train(settings, recipes, Death("step", number, signal.SIGTERM)) == Exit.STOPPED
    assert _report(settings).status == "stopped"
    assert train(settings, recipes, Death()) == Exit.DONE

    assert _report(settings).resumed_from == number
    assert _report(settings).adapter_digest == straight.adapter_digest


def test_a_stop_within_a_global_batch_loses_that_batch_alone(
    make_settings: MakeSettings, recipes: Path, straight: Report
) -> None:
    settings = _prepared(make_settings())

    assert train(settings, recipes, Death("micro-step", 7, signal.SIGTERM)) == Exit.STOPPED
    assert _report(settings).steps == 3
    run_step("train", settings, Sinks())

    assert _report(settings).adapter_digest == straight.adapter_digest


def test_metrics_of_a_resumed_training_are_those_of_one_that_never_stopped(
    make_settings: MakeSettings, recipes: Path, tmp_path: Path, straight: Report
) -> None:
    settings = _prepared(make_settings())
    train(settings, recipes, Death("step", 5))
    train(settings, recipes, Death())

    assert straight.steps == STEPS
    assert (tmp_path / "out/metrics.jsonl").read_bytes() == (tmp_path / "straight/metrics.jsonl").read_bytes()


def test_a_new_attempt_goes_on_where_the_older_one_was(
    make_settings: MakeSettings, recipes: Path, tmp_path: Path, straight: Report
) -> None:
    older = _prepared(make_settings("older"))
    train(older, recipes, Death("step", 5, signal.SIGTERM))
    before = verify(tmp_path / "older/checkpoints/step-00000005")
    settings = _prepared(make_settings("newer"))
    newer = Settings(settings.job, settings.attempt_url, settings.work, attempt=2, older_urls=(older.attempt_url,))

    run_step("train", newer, Sinks())

    assert _report(newer).resumed_from == 5
    assert _report(newer).adapter_digest == straight.adapter_digest
    assert verify(tmp_path / "older/checkpoints/step-00000005") == before


def test_a_torn_checkpoint_is_passed_over_for_the_one_before(
    make_settings: MakeSettings, recipes: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = _prepared(make_settings())
    train(settings, recipes, Death("step", 5))
    tensors = tmp_path / "out/checkpoints/step-00000004/tensors.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-1] + b"\xff")

    run_step("train", settings, Sinks())

    assert _report(settings).resumed_from == 2
    assert "step-00000004 is passed over" in caplog.text


def test_a_checkpoint_of_another_run_is_refused(make_settings: MakeSettings, recipes: Path) -> None:
    train(_prepared(make_settings()), recipes, Death("step", 5))

    with pytest.raises(BadInput, match="another run"):
        run_step("train", make_settings(seed=1), Sinks())


@pytest.mark.requirement("C54")
def test_the_seed_decides_the_adapter(make_settings: MakeSettings, straight: Report) -> None:
    other = _prepared(make_settings("other", seed=1))
    run_step("train", other, Sinks())

    assert _report(other).adapter_digest != straight.adapter_digest


def test_a_finished_training_started_again_changes_nothing(make_settings: MakeSettings, straight: Report) -> None:
    settings = make_settings("straight")
    run_step("train", settings, Sinks())

    assert _report(settings) == straight


def test_only_the_newest_checkpoints_are_kept(tmp_path: Path, straight: Report) -> None:
    kept = sorted(path.name for path in (tmp_path / "straight/checkpoints").iterdir())

    assert straight.steps == STEPS
    assert kept == ["step-00000004", "step-00000006"]
