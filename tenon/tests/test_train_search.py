"""`tenon train SPEC` with a search in the spec, on this machine."""

import json
from pathlib import Path

import pytest

from tenon.__main__ import main
from trainer.contract.steps import Exit
from trainer.outcomes import Stopped
from trainer.settings import Settings
from trainer.sinks import Sink
from trainer.tests import toy


@pytest.fixture
def spec(tmp_path: Path, base: Path) -> Path:
    data = toy.write_rows(tmp_path / "rows.jsonl", toy.rows(60))
    search = {"space": {"rank": [4, 8]}, "budget": {"trials": 2, "gpuHours": 1}, "pruning": {"minSteps": 2}}
    path = tmp_path / "spec.yaml"
    job = {"base": str(base), "data": str(data), "hyperparameters": {"maxSteps": 3}, "search": search}
    path.write_text(json.dumps(job))
    return path


@pytest.mark.requirement("E86")
def test_a_search_that_was_stopped_goes_on_by_the_same_command_and_shows_the_best_recipe(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    command = ["train", str(spec), "--out", str(out)]

    with monkeypatch.context() as patch:
        patch.setattr("trainer.trial.run", stopped)
        assert main(command) == Exit.STOPPED
    assert capsys.readouterr().err.splitlines()[-1] == "asked to stop: the trial is saved"
    assert main(command) == 0

    shown = capsys.readouterr().out
    table = json.loads((out / "search.json").read_text())
    assert [each["number"] for each in table["trials"]] == [0, 1]
    assert (out / "best.yaml").read_text() in shown
    assert json.loads((out / "report.json").read_text())["status"] == "evaluated"
    assert table["trials"][0]["parameters"]["learningRate"] == pytest.approx(5e-4)  # the range's nearest to 0.001


def stopped(settings: Settings, sink: Sink) -> None:
    raise Stopped("asked to stop: the trial is saved")


def test_a_search_that_is_impossible_is_bad_input(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = json.loads(spec.read_text())
    job["search"]["space"]["rank"] = [8, 1000]
    spec.write_text(json.dumps(job))

    assert main(["train", str(spec), "--out", str(tmp_path / "out")]) == 2
    assert "search.space.rank: 1000 does not work" in capsys.readouterr().err.splitlines()[-1]
