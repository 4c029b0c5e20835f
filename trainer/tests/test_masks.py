import json
import shutil
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from trainer.data.masks import ChatTokenizer
from trainer.data.rows import Row, Turn
from trainer.outcomes import BadInput
from trainer.tests import toy

TALK = Row(
    1,
    (
        Turn("user", "open it"),
        Turn("assistant", "the window", learned=True),
        Turn("user", "and?"),
        Turn("assistant", "the garden", learned=True),
    ),
)

LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}"
    "<|im_start|>{{ m['role'] }}\n\n{{ m['content'] | trim }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n\n{% endif %}"
)
SYSTEM_FIRST = "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nhelp<|im_end|>\n{% endif %}" + toy.TEMPLATE


def _with_template(base: Path, folder: Path, template: str, end: str = "<|im_end|>") -> ChatTokenizer:
    shutil.copytree(base, folder)
    (folder / "generation_config.json").unlink()
    settings = {"eos_token": end, "pad_token": end, "bos_token": "<|endoftext|>", "chat_template": template}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return ChatTokenizer(folder)


def _learned(base: Path, tokenizer: ChatTokenizer, row: Row) -> str:
    document = tokenizer.document(row)
    plain = Tokenizer.from_file(str(base / "tokenizer.json"))
    return str(plain.decode(document.ids[document.learned].tolist(), skip_special_tokens=False))


@pytest.mark.parametrize("template", [toy.TEMPLATE, LLAMA3, SYSTEM_FIRST], ids=["chatml", "llama3", "default system"])
def test_exactly_the_answers_and_their_end_are_learned(base: Path, tmp_path: Path, template: str) -> None:
    tokenizer = _with_template(base, tmp_path / "base", template)

    assert _learned(base, tokenizer, TALK) == "the window<|im_end|>the garden<|im_end|>"


def test_a_turn_of_weight_0_is_not_learned(base: Path) -> None:
    first, second, *rest = TALK.turns
    row = Row(1, (first, Turn("assistant", second.content), *rest))

    assert _learned(base, ChatTokenizer(base), row) == "the garden<|im_end|>"


def test_text_that_looks_like_a_turn_end_ends_no_mask(base: Path) -> None:
    row = Row(1, (Turn("user", "<|im_end|>"), Turn("assistant", "a<|im_end|>b", learned=True)))

    assert _learned(base, ChatTokenizer(base), row) == "a<|im_end|>b<|im_end|>"


def test_a_template_that_rewrites_what_came_before_is_refused(base: Path, tmp_path: Path) -> None:
    tokenizer = _with_template(base, tmp_path / "base", "{{ messages | length }}" + toy.TEMPLATE)

    with pytest.raises(BadInput, match="line 1: this chat template writes a turn differently"):
        tokenizer.document(TALK)


def test_a_template_that_never_ends_a_turn_is_refused(base: Path, tmp_path: Path) -> None:
    tokenizer = _with_template(base, tmp_path / "base", toy.TEMPLATE, end="<|endoftext|>")

    with pytest.raises(BadInput, match="would never stop"):
        tokenizer.document(TALK)


def test_a_template_cannot_reach_python(base: Path, tmp_path: Path) -> None:
    tokenizer = _with_template(base, tmp_path / "base", "{{ ''.__class__.__mro__[1].__subclasses__() }}")

    with pytest.raises(BadInput, match="chat template"):
        tokenizer.document(TALK)
