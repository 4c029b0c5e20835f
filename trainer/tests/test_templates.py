"""Masks over the families of chat templates: the golden files show what is learned between double brackets."""

import os
from pathlib import Path

import pytest

from trainer.data.masks import ChatTokenizer
from trainer.data.preview import preview
from trainer.data.rows import Call, Row, Turn
from trainer.outcomes import BadInput
from trainer.tests.families import FAMILIES, TEMPLATES, WITH_TOOLS, Family, tokenizer_of

TALK = (
    Turn("user", "open it"),
    Turn("assistant", "the window", learned=True),
    Turn("user", "and?"),
    Turn("assistant", "the garden", learned=True),
)
SYSTEM = Turn("system", "be short")
TOOL = {"type": "function", "function": {"name": "open", "description": "opens", "parameters": {"what": "string"}}}
CALLED = (
    SYSTEM,
    Turn("user", "open it"),
    Turn("assistant", "", learned=True, calls=(Call("open", {"what": "the <old> window's"}),)),
    Turn("tool", "it is open"),
    Turn("assistant", "done", learned=True),
)


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def tokenizer(family: str, base: Path, tmp_path: Path) -> ChatTokenizer:
    return tokenizer_of(family, FAMILIES[family], base=base, folder=tmp_path / "base")


def _talk(family: Family) -> Row:
    return Row(1, (SYSTEM, *TALK) if family.has_system else TALK)


def _marked(tokenizer: ChatTokenizer, row: Row) -> str:
    return preview([tokenizer.document(row)], tokenizer, 1)[0].marked


def _check_golden(name: str, text: str) -> None:
    """TENON_UPDATE_GOLDEN=1 writes the file anew."""
    path = TEMPLATES / f"{name}.txt"
    if os.environ.get("TENON_UPDATE_GOLDEN"):
        path.write_text(text + "\n", encoding="utf-8")
    assert text + "\n" == path.read_text(encoding="utf-8")


@pytest.mark.requirement("E75")
def test_what_is_learned_of_a_conversation_is_what_its_golden_file_shows(family: str, tokenizer: ChatTokenizer) -> None:
    _check_golden(family, _marked(tokenizer, _talk(FAMILIES[family])))


def test_each_answer_is_learned_with_the_token_that_stops_it(family: str, tokenizer: ChatTokenizer) -> None:
    document = tokenizer.document(_talk(FAMILIES[family]))

    learned = document.ids[document.learned].tolist()

    assert tokenizer.decode(learned).replace(" ", "") == "thewindowthegarden"
    assert sum(id_ in tokenizer.ends for id_ in learned) == 2
    assert learned[-1] in tokenizer.ends


def test_a_beginning_token_stands_once(family: str, tokenizer: ChatTokenizer) -> None:
    begin = FAMILIES[family].begin

    pieces = tokenizer.pieces(tokenizer.document(Row(1, TALK[:2])).ids.tolist())

    assert begin is None or pieces.count(begin) <= 1


def test_an_answer_is_learned_where_a_prompt_would_end(family: str, tokenizer: ChatTokenizer) -> None:
    document = tokenizer.document(Row(1, TALK[:2]))

    assert document.ids[~document.learned].tolist()[: len(tokenizer.prompt(TALK[:1]))] == tokenizer.prompt(TALK[:1])


@pytest.mark.parametrize("family", WITH_TOOLS, indirect=True)
def test_a_call_is_learned_and_the_tools_and_their_results_are_not(family: str, tokenizer: ChatTokenizer) -> None:
    _check_golden(f"{family}-call", _marked(tokenizer, Row(1, CALLED, tools=(TOOL,))))


def test_a_template_without_a_system_role_refuses_one_with_its_own_reason(base: Path, tmp_path: Path) -> None:
    tokenizer = tokenizer_of("gemma", FAMILIES["gemma"], base=base, folder=tmp_path / "base")

    with pytest.raises(BadInput, match=r"line 7: chat template: refuses a conversation \(there is no system role\)"):
        tokenizer.document(Row(7, (SYSTEM, *TALK)))


THOUGHT = (TALK[0], Turn("assistant", "<think>hm</think>the window", learned=True), *TALK[2:])
UNSTABLE = {
    "qwen-thinking": ("chatml", THOUGHT, "'<think>hm</think>the window"),
    "mistral-system-last": ("mistral", (SYSTEM, *TALK), "'be short"),
}


@pytest.mark.parametrize(("template", "case"), UNSTABLE.items(), ids=UNSTABLE)
def test_a_template_that_changes_earlier_turns_is_refused_showing_where(
    base: Path, tmp_path: Path, template: str, case: tuple[str, tuple[Turn, ...], str]
) -> None:
    family, turns, shown = case
    tokenizer = tokenizer_of(template, FAMILIES[family], base=base, folder=tmp_path / "base")

    with pytest.raises(BadInput, match=f"line 1: this chat template writes a turn differently .*{shown}"):
        tokenizer.document(Row(1, turns))


def test_such_a_template_does_for_rows_of_one_answer(base: Path, tmp_path: Path) -> None:
    tokenizer = tokenizer_of("qwen-thinking", FAMILIES["chatml"], base=base, folder=tmp_path / "base")

    assert _marked(tokenizer, Row(1, THOUGHT[:2])).count("<think>hm</think>the window<|im_end|>") == 1


def test_a_preview_shows_both_answers_of_as_many_rows_as_were_asked_for(base: Path) -> None:
    tokenizer = ChatTokenizer(base)
    rows = [Row(line, TALK[:2], rejected=(TALK[0], Turn("assistant", f"no {line}", learned=True))) for line in (1, 2)]
    documents = [document for pair in tokenizer.documents(rows) for document in pair]

    shown = preview(documents, tokenizer, 1)

    assert [(row.line, row.rejected, row.runs[1]) for row in shown] == [
        (1, False, ("the window<|im_end|>", True)),
        (1, True, ("no 1<|im_end|>", True)),
    ]
