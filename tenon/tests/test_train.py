import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from tenon.__main__ import main
from trainer.tests import toy


@pytest.fixture
def spec(tmp_path: Path, base: Path) -> Path:
    data = toy.write_rows(tmp_path / "rows.jsonl", toy.rows(60))
    path = tmp_path / "spec.yaml"
    path.write_text(json.dumps({"base": str(base), "data": str(data), "hyperparameters": {"maxSteps": 3}}))
    return path


@pytest.mark.requirement("C61")
def test_a_training_leaves_its_report_metrics_and_adapter(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"

    assert main(["train", str(spec), "--out", str(out), "--json"]) == 0

    report = json.loads(capsys.readouterr().out)
    assert report == json.loads((out / "report.json").read_text())
    assert (report["status"], report["steps"]) == ("evaluated", 3)
    assert report["lossAfter"] < report["lossBefore"]
    assert report["adapterBytes"] == (out / "adapter/adapter_model.safetensors").stat().st_size
    assert len((out / "metrics.jsonl").read_text().splitlines()) == 3


def test_the_same_command_again_changes_nothing(spec: Path, tmp_path: Path) -> None:
    command = ["train", str(spec), "--out", str(tmp_path / "out")]
    assert main(command) == 0
    before = (tmp_path / "out/report.json").read_bytes()

    assert main(command) == 0
    assert (tmp_path / "out/report.json").read_bytes() == before


def test_bad_rows_end_with_the_trainers_code(spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rows.jsonl").write_text("{")

    assert main(["train", str(spec), "--out", str(tmp_path / "out")]) == 2
    assert "rows.jsonl:1: is not JSON" in capsys.readouterr().err


def test_a_tracker_that_is_not_known_is_bad_input(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TENON_TRACKERS", "comet")

    assert main(["train", str(spec), "--out", str(tmp_path / "out")]) == 2
    assert "'comet' is no tracker; use some of wandb, mlflow, tensorboard" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("{", "not YAML"),
        ("5", "is not a mapping"),
        ("base: x\ncolor: 1", "color: is no key here; remove it or mend its spelling"),
    ],
)
def test_a_spec_that_is_none_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, text: str
) -> None:
    (tmp_path / "spec.yaml").write_text(content)

    assert main(["train", str(tmp_path / "spec.yaml"), "--out", str(tmp_path / "out")]) == 2
    assert text in capsys.readouterr().err


@pytest.mark.requirement("D66")
@pytest.mark.parametrize("code", [75, 143, 2, 1])
def test_ranks_share_the_training_and_their_exit_code_is_the_commands(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    divided: list[tuple[str, str, str]] = []

    def launched(step: str, environment: Mapping[str, str]) -> int:
        divided.append((step, environment["PET_NPROC_PER_NODE"], environment["TENON_FOLDER"]))
        return code

    monkeypatch.setattr("trainer.launch.launch", launched)

    assert main(["train", str(spec), "--out", str(tmp_path / "out"), "--nproc", "2"]) == code
    assert divided == [("train", "2", str(tmp_path / "out"))]
