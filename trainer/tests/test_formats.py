import json
from pathlib import Path

import pytest

from trainer.data.reading import read_rows
from trainer.outcomes import BadInput

CHAT = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}
ALPACA = {"instruction": "q", "input": "", "output": "a"}
COMPLETION = {"prompt": "q", "completion": "a"}


@pytest.mark.parametrize("row", [CHAT, ALPACA, COMPLETION], ids=["chat", "alpaca", "completion"])
def test_every_form_becomes_the_same_conversation(tmp_path: Path, row: object) -> None:
    (tmp_path / "d.jsonl").write_text(json.dumps(row))

    (read,) = read_rows(tmp_path / "d.jsonl", shown_as="d.jsonl")

    assert [(turn.role, turn.content, turn.learned) for turn in read.turns] == [
        ("user", "q", False),
        ("assistant", "a", True),
    ]


def test_an_alpaca_input_stands_below_its_instruction(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text(json.dumps({**ALPACA, "input": "i"}))

    (read,) = read_rows(tmp_path / "d.jsonl", shown_as="d.jsonl")

    assert read.turns[0].content == "q\ni"


def _chat(*turns: tuple[str, object]) -> str:
    return json.dumps({"messages": [{"role": role, "content": content} for role, content in turns]})


BAD_FILES = {
    "empty": (b"", "holds no row"),
    "blank lines": (b"\n\n", "holds no row"),
    "binary": (b"\x89PNG\r\n\xff\xfe", "not UTF-8"),
    "NUL": (b'{"prompt": "\0"}', "NUL"),
    "not JSON": (b"{", "d.jsonl:1: is not JSON"),
    "a list": (b"[1]", "1: is a list"),
    "no known form": (b'{"body": "x"}', "none of the keys"),
    "no answer": (_chat(("user", "q")).encode(), "last turn"),
    "empty answer": (_chat(("user", "q"), ("assistant", " ")).encode(), "is empty"),
    "number for text": (_chat(("user", 5), ("assistant", "a")).encode(), "is a number"),
    "unknown role": (_chat(("robot", "q")).encode(), "no role of"),
    "two users": (_chat(("user", "q"), ("user", "q"), ("assistant", "a")).encode(), "in turn"),
    "half a surrogate": (b'{"prompt": "\\ud800", "completion": "a"}', "surrogate"),
    "deep": (b"[" * 100_000, "nested too deeply"),
}


@pytest.mark.parametrize(("content", "text"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_is_refused_with_its_reason(tmp_path: Path, content: bytes, text: str) -> None:
    (tmp_path / "d.jsonl").write_bytes(content)

    with pytest.raises(BadInput, match=text):
        list(read_rows(tmp_path / "d.jsonl", shown_as="d.jsonl"))


def test_every_bad_row_is_named_by_its_line(tmp_path: Path) -> None:
    good = json.dumps(CHAT)
    (tmp_path / "d.jsonl").write_text(f"{good}\n{{\n\n{good}\n5")

    with pytest.raises(BadInput) as caught:
        list(read_rows(tmp_path / "d.jsonl", shown_as="d.jsonl"))

    assert [detail.split(": ")[0] for detail in caught.value.details] == ["d.jsonl:2", "d.jsonl:5"]
    assert "2 of 4 rows" in str(caught.value)
