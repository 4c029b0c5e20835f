import json
from pathlib import Path

import pytest

from tenon.__main__ import main
from trainer.tests import toy


@pytest.fixture
def spec(tmp_path: Path, base: Path) -> Path:
    data = toy.write_rows(tmp_path / "rows.jsonl", toy.rows(60))
    path = tmp_path / "spec.yaml"
    path.write_text(json.dumps({"base": str(base), "data": str(data)}))
    return path


def test_the_card_and_a_preview_are_one_json_document(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"

    assert main(["data", str(spec), "--out", str(out), "--preview", "2", "--json"]) == 0

    answer = json.loads(capsys.readouterr().out)
    assert answer["card"] == json.loads((out / "prepared/card.json").read_text())
    assert len(answer["preview"]) == 2
    learned = "".join(token["text"] for token in answer["preview"][0]["tokens"] if token["learned"])
    assert learned.endswith("<|im_end|>")


def test_the_table_is_at_most_100_columns_and_marks_what_is_learned(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", str(spec), "--out", str(tmp_path / "out"), "--preview", "1"]) == 0

    table, _, preview = capsys.readouterr().out.partition("\n--- row ")
    assert all(len(line) <= 100 for line in table.splitlines())
    assert "rows kept" in table
    assert preview.count("\u27e6") == 1
    assert "<|im_start|>assistant\n\u27e6" in preview


@pytest.mark.parametrize("content", ["{", ""])
def test_bad_rows_end_with_the_trainers_code(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    (tmp_path / "rows.jsonl").write_text(content)

    assert main(["data", str(spec), "--out", str(tmp_path / "out")]) == 2
    assert "rows.jsonl" in capsys.readouterr().err.splitlines()[-1]


def test_a_preview_of_no_number_is_refused(spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["data", str(spec), "--out", str(tmp_path / "out"), "--preview", "-1"])
    assert "is no number of rows" in capsys.readouterr().err
