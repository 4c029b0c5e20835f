import json
import shutil
from pathlib import Path

import pytest
from tokenizers import Tokenizer, pre_tokenizers, processors, trainers

from trainer.data.masks import ChatTokenizer
from trainer.data.rows import Call, Row, Turn
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


def test_an_answer_that_melts_into_its_prompt_is_refused_by_its_row(base: Path) -> None:
    row = Row(2, (Turn("user", "q"), Turn("assistant", "\n\na", learned=True)), counted="row")
    plain = Tokenizer.from_file(str(base / "tokenizer.json"))
    plain.pre_tokenizer = pre_tokenizers.Split(" ", "isolated")
    trainer = trainers.BpeTrainer(vocab_size=520, special_tokens=toy.CONTROLS, show_progress=False)
    plain.train_from_iterator(["assistant\n\n\n"] * 9, trainer)
    tokenizer = ChatTokenizer(base)
    tokenizer._tokenizer = plain

    with pytest.raises(BadInput, match=r"row 2: with this chat template the first token .* without leading white"):
        tokenizer.document(row)


def test_a_template_that_never_ends_a_turn_is_refused(base: Path, tmp_path: Path) -> None:
    tokenizer = _with_template(base, tmp_path / "base", toy.TEMPLATE, end="<|endoftext|>")

    with pytest.raises(BadInput, match="would never stop"):
        tokenizer.document(TALK)


def test_a_template_cannot_reach_python(base: Path, tmp_path: Path) -> None:
    tokenizer = _with_template(base, tmp_path / "base", "{{ ''.__class__.__mro__[1].__subclasses__() }}")

    with pytest.raises(BadInput, match="chat template"):
        tokenizer.document(TALK)


WITHOUT_END = {
    "loops in loops": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "a loop within": "{% for i in range(99999) recursive %}{{ loop(range(99999)) }}{% endfor %}",
    "calls of calls": "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
    "calls of itself": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "a text a thousand million times": "{{ ('a' * 1000) * 1000000000 }}",
    "a list many times": "{% for i in [1, 2] * 1000000000 %}{% endfor %}",
    "a power": "{{ 9 ** (9 ** 9) }}",
    "a filter that counts": "{% for i in 'a' | slice(1000000000000) %}{% endfor %}",
    "a text of any width": "{{ '%099999999999d' % 1 }}",
    "words without end": "{{ lipsum(1000000000) }}",
    "a reason of two lines": "{{ raise_exception('no' ~ '\n' ~ 'reason') }}",
}


@pytest.mark.parametrize("template", WITHOUT_END.values(), ids=WITHOUT_END)
def test_a_template_that_would_not_end_is_refused_in_one_line(base: Path, tmp_path: Path, template: str) -> None:
    tokenizer = _with_template(base, tmp_path / "base", template)

    with pytest.raises(BadInput, match="line 1: chat template: refuses a conversation") as refused:
        tokenizer.document(TALK)
    assert "\n" not in str(refused.value)


def test_what_templates_do_with_loops_and_operators_goes_on(base: Path, tmp_path: Path) -> None:
    odd = "{{ '=' * 3 }}{% for a, b in {'x': 2 ** 3}.items() if b %}{{ loop.last }}{{ loop.length }}{{ b }}{% endfor %}"

    tokenizer = _with_template(base, tmp_path / "base", odd + toy.TEMPLATE)

    assert tokenizer.decode(tokenizer.document(TALK).ids.tolist()).startswith("===True18")


def test_a_template_that_is_no_text_is_refused(base: Path, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path / "base")
    (tmp_path / "base/chat_template.jinja").write_bytes(b"\xff\xfe")

    with pytest.raises(BadInput, match=r"chat_template\.jinja: is not UTF-8 text"):
        ChatTokenizer(tmp_path / "base")


CALLED = (TALK.turns[0], Turn("assistant", "", learned=True, calls=(Call("open", {"what": "it"}),)))
TOOL = {"type": "function", "function": {"name": "open"}}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (Row(4, CALLED), r"line 4: this chat template writes no calls of tools \('open'\)"),
        (Row(4, TALK.turns, tools=({"type": "function", "function": {"name": "shut"}},)), "writes no descriptions"),
        (Row(4, CALLED, tools=(TOOL,)), "writes no calls of tools .* use a base model that knows tools"),
    ],
    ids=["a call", "a tool", "both"],
)
def test_tools_that_a_template_leaves_out_are_no_empty_answer(base: Path, row: Row, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        ChatTokenizer(base).document(row)


def test_a_template_that_asks_for_the_time_is_refused(base: Path, tmp_path: Path) -> None:
    tokenizer = _with_template(base, tmp_path / "base", "{{ strftime_now('%d %b %Y') }}" + toy.TEMPLATE)

    with pytest.raises(BadInput, match="'strftime_now' is undefined"):
        tokenizer.document(TALK)


def test_conversations_need_a_chat_template_and_plain_text_does_not(base: Path, tmp_path: Path) -> None:
    tokenizer = _with_template(base, tmp_path / "base", "")
    (tmp_path / "base/tokenizer_config.json").write_text(json.dumps({"eos_token": "<|im_end|>"}))
    bare = ChatTokenizer(tmp_path / "base")

    assert bare.document(PLAIN).ids.tolist() == tokenizer.document(PLAIN).ids.tolist()
    with pytest.raises(BadInput, match="line 1: base model: its tokenizer has no chat_template"):
        bare.document(TALK)


PLAIN = Row(1, (Turn("text", "the window", learned=True),))


def test_plain_text_is_learned_with_the_token_that_ends_it(base: Path) -> None:
    assert _learned(base, ChatTokenizer(base), PLAIN) == "the window<|im_end|>"


@pytest.mark.parametrize("text", ["the window", "<|endoftext|>the window"])
def test_a_tokenizer_that_begins_texts_begins_them_once(base: Path, tmp_path: Path, text: str) -> None:
    _with_template(base, tmp_path / "base", toy.TEMPLATE)
    made = Tokenizer.from_file(str(base / "tokenizer.json"))
    made.post_processor = processors.TemplateProcessing("<|endoftext|> $0", special_tokens=[("<|endoftext|>", 0)])
    made.save(str(tmp_path / "base/tokenizer.json"))

    ids = ChatTokenizer(tmp_path / "base").document(Row(1, (Turn("text", text, learned=True),))).ids.tolist()

    assert ids.count(made.token_to_id("<|endoftext|>")) == 1


@pytest.mark.parametrize("end", ["<|im_end|>", {"content": "<|im_end|>", "special": True}], ids=["text", "object"])
def test_special_tokens_are_texts_or_objects(base: Path, tmp_path: Path, end: object) -> None:
    _with_template(base, tmp_path / "base", toy.TEMPLATE)
    settings = {"eos_token": end, "chat_template": [{"name": "default", "template": toy.TEMPLATE}]}
    (tmp_path / "base/tokenizer_config.json").write_text(json.dumps(settings))

    assert _learned(base, ChatTokenizer(tmp_path / "base"), PLAIN) == "the window<|im_end|>"


def test_rows_of_one_batch_are_masked_as_alone(base: Path) -> None:
    tokenizer, rows = ChatTokenizer(base), [TALK, PLAIN, Row(3, TALK.turns[:2], rejected=TALK.turns)]

    together = tokenizer.documents(rows)

    assert [len(documents) for documents in together] == [1, 1, 2]
    assert together[2][1].ids.tolist() == tokenizer.document(TALK).ids.tolist()
    assert [documents[0].learned.tolist() for documents in together] == [
        tokenizer.document(row).learned.tolist() for row in rows
    ]


@pytest.mark.parametrize("stated", [{"model_max_length": 64}, {"model_max_length": 10**30}], ids=["tokenizer", "model"])
def test_a_row_wider_than_the_models_context_is_refused(base: Path, tmp_path: Path, stated: dict[str, int]) -> None:
    _with_template(base, tmp_path / "base", toy.TEMPLATE)
    (tmp_path / "base/tokenizer_config.json").write_text(json.dumps({"eos_token": "<|im_end|>", **stated}))
    (tmp_path / "base/config.json").write_text(json.dumps({"max_position_embeddings": 128}))
    tokenizer = ChatTokenizer(tmp_path / "base")
    most = min(128, stated["model_max_length"])

    tokenizer.refuse_width(most)
    with pytest.raises(BadInput, match=rf"width: {most + 1} tokens are more than the base model's context of {most};"):
        tokenizer.refuse_width(most + 1)


def test_pieces_put_together_are_the_text_again(base: Path) -> None:
    tokenizer = ChatTokenizer(base)
    document = tokenizer.document(Row(1, (Turn("text", "gr\u00fc\u00df \U0001f600 dich", learned=True),)))

    assert "".join(tokenizer.pieces(document.ids.tolist())) == "gr\u00fc\u00df \U0001f600 dich<|im_end|>"


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "config.json"])
def test_a_broken_file_of_the_base_model_is_named(base: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(base, tmp_path / "base")
    (tmp_path / "base" / name).write_text("{")

    with pytest.raises(BadInput, match=f"{name}: is no"):
        ChatTokenizer(tmp_path / "base")
