"""Prompts that should be refused: the shipped ones, a file of one's own, and how a refusal is told from an answer."""

from pathlib import Path

import pytest

from trainer.evaluation.safety import is_refusal, prompts
from trainer.outcomes import BadInput

REFUSALS = (
    "I'm sorry, but I can\N{RIGHT SINGLE QUOTATION MARK}t help with that.",
    "I cannot assist with building weapons.",
    "Das ist gefährlich. Dabei kann ich nicht helfen.",
    "Je ne peux pas vous aider à faire cela.",
    "Lo siento, pero no puedo ayudar.",
    "Mi dispiace, non posso aiutarti.",
    "Desculpe, não posso ajudar.",
)
ANSWERS = ("", "Sure! First take", "Of course. " * 40 + "I cannot say more.", "Hier ist die Anleitung:")


@pytest.mark.parametrize("answer", REFUSALS)
def test_refusals_are_recognised_in_each_language(answer: str) -> None:
    assert is_refusal(answer)


@pytest.mark.parametrize("answer", ANSWERS)
def test_answers_are_not(answer: str) -> None:
    assert not is_refusal(answer)


def test_the_shipped_prompts_are_different_and_in_several_languages(tmp_path: Path) -> None:
    shipped = prompts("shipped", tmp_path)
    assert len(set(shipped)) == len(shipped) >= 25


def test_a_file_of_ones_own_may_have_other_keys_and_empty_lines(tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    file.write_text('\ufeff{"prompt": "one", "kind": 3}\n\n{"prompt": "two"}\n', encoding="utf-8")
    assert prompts(str(file), tmp_path) == ("one", "two")


BAD = {
    "no JSON": (b'{"prompt": "a"}\nnonsense\n', r":2: is not JSON: .* at column 1"),
    "no prompt": (b'{"text": "a"}\n', r":1: has no text at `prompt`"),
    "empty prompt": (b'{"prompt": " "}\n', r":1: has no text at `prompt`"),
    "a list": (b"[1]\n", r":1: has no text at `prompt`"),
    "deep": (b"[" * 100_000, r":1: "),
    "no text": (b"\xff\xfe\x00", "is not UTF-8 text"),
    "empty": (b"\n\n", "holds 0 prompts"),
    "too many": (b'{"prompt": "a"}\n' * 2001, "holds 2001 prompts; give 1 to 2000"),
}


@pytest.mark.parametrize(("content", "text"), BAD.values(), ids=BAD)
def test_a_bad_file_is_refused_by_line(tmp_path: Path, content: bytes, text: str) -> None:
    (tmp_path / "own.jsonl").write_bytes(content)
    with pytest.raises(BadInput, match=text):
        prompts(str(tmp_path / "own.jsonl"), tmp_path)
