import json
from pathlib import Path

import pytest

from tenon.__main__ import main
from trainer.tests import toy


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A job whose base model has no weights here: a plan reads none."""
    base = tmp_path / "base"
    base.mkdir()
    shape = {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9}
    (base / "config.json").write_text(
        json.dumps({**shape, "model_type": "llama", "vocab_size": 49152, "tie_word_embeddings": True})
    )
    data = toy.write_rows(tmp_path / "rows.jsonl", toy.rows(200))
    path = tmp_path / "spec.yaml"
    path.write_text(json.dumps({"base": str(base), "data": str(data), "hyperparameters": {"batchRows": 4}}))
    return path


@pytest.mark.requirement("E76")
def test_a_plan_is_answered_without_weights_and_writes_nothing(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(tmp_path.rglob("*"))

    assert main(["train", str(spec), "--plan", "--json", "--nproc", "2", "--price-per-hour", "0.80"]) == 0

    made = json.loads(capsys.readouterr().out)
    assert (made["globalBatchRows"], made["ranks"], made["microSteps"]) == (4, 2, 2)
    assert made["memoryBytes"]["total"] > sum(made["memoryBytes"].values()) / 3
    assert float(made["cost"]["cpu"]) >= 0
    assert sorted(tmp_path.rglob("*")) == before


def test_a_plan_for_people_fits_a_hundred_columns(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(spec), "--plan"]) == 0

    shown = capsys.readouterr().out
    assert "4 rows = 1 ranks x 1 x 4 micro-steps" in shown
    assert "estimated from the file's size" in " ".join(shown.split())
    assert max(len(line) for line in shown.splitlines()) <= 100


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--price-per-hour", "cheap", "--plan"], "'cheap' is no amount of money"),
        *(
            (["--nproc", ranks, "--plan"], f"'{ranks}' is no number of ranks; give 1 to 64")
            for ranks in ("0", "1000", "x")
        ),
        ([], "--out: is missing"),
    ],
)
def test_what_is_missing_or_wrong_is_said(
    spec: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    try:
        code = main(["train", str(spec), *words])
    except SystemExit as error:
        code = error.code  # type: ignore[assignment]

    assert code == 2
    assert said in capsys.readouterr().err
