"""What each form of a row becomes, and what is said of a bad one."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.contract.recipe import Objective
from trainer.data.fields import Fault, normalised
from trainer.data.formats import row_of
from trainer.data.rows import Call, Turn

QUESTION, ANSWER = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
ALPACA = {"instruction": "q", "input": "", "output": "a"}
TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {}}}
PLAIN_CONVERSATION = (Turn("user", "q"), Turn("assistant", "a", learned=True))

SAME_CONVERSATION: dict[str, dict[str, Any]] = {
    "OpenAI chat": {"messages": [QUESTION, ANSWER]},
    "OpenAI content in parts": {"messages": [QUESTION, {**ANSWER, "content": [{"type": "text", "text": "a"}]}]},
    "ShareGPT": {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]},
    "Alpaca": ALPACA,
    "Alpaca with its whole text beside it": {**ALPACA, "text": "### Instruction: q ### Response: a"},
    "prompt and completion": {"prompt": "q", "completion": "a"},
    "prompt and completion as messages": {"prompt": [QUESTION], "completion": [ANSWER]},
    "question and answer": {"question": "q", "answer": "a"},
    "columns that other rows have": {"messages": None, "prompt": "q", "completion": "a"},
}


@pytest.mark.requirement("E75")
@pytest.mark.parametrize("document", SAME_CONVERSATION.values(), ids=SAME_CONVERSATION)
def test_every_form_becomes_the_same_conversation(document: dict[str, Any]) -> None:
    assert row_of(document, 1).turns == PLAIN_CONVERSATION


def test_an_alpaca_input_stands_below_its_instruction() -> None:
    assert row_of({**ALPACA, "input": "i"}, 1).turns[0].content == "q\ni"


def test_the_answers_of_a_history_are_read_and_not_learned() -> None:
    row = row_of({**ALPACA, "system": "s", "history": [["q0", "a0"]]}, 1)

    assert [(turn.role, turn.content, turn.learned) for turn in row.turns] == [
        ("system", "s", False),
        ("user", "q0", False),
        ("assistant", "a0", False),
        ("user", "q", False),
        ("assistant", "a", True),
    ]


def test_an_answer_of_weight_0_is_read_and_not_learned() -> None:
    row = row_of({"messages": [QUESTION, {**ANSWER, "weight": 0}, QUESTION, ANSWER]}, 1)

    assert [turn.learned for turn in row.turns] == [False, False, False, True]


def test_plain_text_is_learned_as_a_whole() -> None:
    assert row_of({"text": "t"}, 1).turns == (Turn("text", "t", learned=True),)


CALLED = (
    Turn("user", "q"),
    Turn("assistant", "", learned=True, calls=(Call("f", {"x": 1}),)),
    Turn("tool", "r"),
    Turn("assistant", "a", learned=True),
)
CALLS: dict[str, dict[str, Any]] = {
    "OpenAI": {
        "tools": [TOOL],
        "messages": [
            QUESTION,
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}],
            },
            {"role": "tool", "content": "r"},
            ANSWER,
        ],
    },
    "OpenAI's older form": {
        "tools": [TOOL],
        "messages": [
            QUESTION,
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": '{"x": 1}'}},
            {"role": "function", "content": "r"},
            ANSWER,
        ],
    },
    "ShareGPT": {
        "tools": '[{"name": "f", "description": "d", "parameters": {}}]',
        "conversations": [
            {"from": "human", "value": "q"},
            {"from": "function_call", "value": '{"name": "f", "arguments": {"x": 1}}'},
            {"from": "observation", "value": "r"},
            {"from": "gpt", "value": "a"},
        ],
    },
}


@pytest.mark.parametrize("document", CALLS.values(), ids=CALLS)
def test_calls_of_tools_are_learned_and_their_results_are_not(document: dict[str, Any]) -> None:
    row = row_of(document, 1)

    assert row.turns == CALLED
    assert row.tools == (TOOL,)


def test_rows_that_differ_in_a_call_alone_differ_in_their_text() -> None:
    other = {"from": "function_call", "value": '{"name": "g", "arguments": {}}'}
    said = CALLS["ShareGPT"]["conversations"]

    assert row_of({"conversations": [said[0], other]}, 1).text != row_of({"conversations": said[:2]}, 1).text


WORSE = {"role": "assistant", "content": "b"}
PREFERENCES: dict[str, dict[str, Any]] = {
    "texts": {"prompt": "q", "chosen": "a", "rejected": "b"},
    "messages": {"prompt": [QUESTION], "chosen": [ANSWER], "rejected": [WORSE]},
    "whole conversations": {"chosen": [QUESTION, ANSWER], "rejected": [QUESTION, WORSE]},
    "whole conversations beside their question": {
        "prompt": "q",
        "chosen": [QUESTION, ANSWER],
        "rejected": [QUESTION, WORSE],
    },
    "OpenAI": {"input": {"messages": [QUESTION]}, "preferred_output": [ANSWER], "non_preferred_output": [WORSE]},
}


@pytest.mark.parametrize("document", PREFERENCES.values(), ids=PREFERENCES)
def test_every_form_of_a_preference_becomes_two_conversations_with_one_question(document: dict[str, Any]) -> None:
    row = row_of(document, 1, "dpo")

    assert row.turns == PLAIN_CONVERSATION
    assert row.rejected == (Turn("user", "q"), Turn("assistant", "b", learned=True))


def test_of_a_preference_only_what_differs_is_learned() -> None:
    shared = [QUESTION, ANSWER, QUESTION]

    row = row_of({"chosen": [*shared, ANSWER], "rejected": [*shared, WORSE]}, 1, "dpo")

    assert [turn.learned for turn in row.rejected] == [False, False, False, True]


def _chat(*messages: object) -> dict[str, Any]:
    return {"messages": list(messages)}


def _called(call: object) -> dict[str, Any]:
    return _chat(QUESTION, {"role": "assistant", "content": None, "tool_calls": call})


BAD_ROWS: dict[str, tuple[object, str]] = {
    "a list": ([1], "is a list, not an object"),
    "no known form": ({"body": "x"}, "none of the keys"),
    "messages as a number": ({"messages": 5}, "messages: is a number; it must be a list"),
    "messages as broken text": ({"messages": "[{"}, "messages: is a string that is not JSON"),
    "no message": (_chat(), "the last turn must be the assistant's"),
    "no answer": (_chat(QUESTION), "the last turn must be the assistant's"),
    "blank answer": (_chat(QUESTION, {**ANSWER, "content": " "}), r"messages\[1\].content: is empty"),
    "number for text": (_chat({**QUESTION, "content": 5}), r"messages\[0\].content: is a number"),
    "an image": (_chat({**QUESTION, "content": [{"type": "image_url"}]}), r"content\[0\]: is image_url; only text"),
    "unknown role": (_chat({"role": "robot"}), r"messages\[0\]: has no role of"),
    "a message that is a text": (_chat("q"), r"messages\[0\]: has no role of"),
    "weight 2": (_chat(QUESTION, {**ANSWER, "weight": 2}), r"messages\[1\].weight: 2 is neither 0 nor 1"),
    "all weights 0": (_chat(QUESTION, {**ANSWER, "weight": 0}), "nothing to learn"),
    "two users": (_chat(QUESTION, QUESTION, ANSWER), "turn 2: user cannot follow user"),
    "a system turn within": (_chat(QUESTION, ANSWER, {"role": "system", "content": "s"}), "turn 3: system"),
    "a result without a call": (_chat(QUESTION, ANSWER, {"role": "tool", "content": "r"}), "turn 3: tool cannot"),
    "an answer first": (_chat(ANSWER), "turn 1: assistant cannot follow nothing"),
    "calls as a text": (_called("f"), "tool_calls: is a string"),
    "a call as a text": (_called(["f"]), r"tool_calls\[0\]: is a string"),
    "a call without a name": (_called([{"function": {"arguments": "{}"}}]), "name: is missing"),
    "arguments that are no JSON": (_called([{"function": {"name": "f", "arguments": "{"}}]), "arguments: is a string"),
    "arguments as a list": (_called([{"function": {"name": "f", "arguments": "[1]"}}]), "arguments: is a list"),
    "a tool without a name": ({**_chat(QUESTION, ANSWER), "tools": [{}]}, r"tools\[0\]: names no function"),
    "tools as a number": ({**_chat(QUESTION, ANSWER), "tools": 5}, "tools: is a number"),
    "unknown speaker": ({"conversations": [{"from": "x", "value": "v"}]}, r"conversations\[0\]: has no `from`"),
    "speaker without value": ({"conversations": [{"from": "human"}]}, r"conversations\[0\].value: is missing"),
    "a spoken call that is no JSON": (
        {"conversations": [{"from": "human", "value": "q"}, {"from": "function_call", "value": "f("}]},
        r"conversations\[1\].value: is a string that is not JSON",
    ),
    "no output": ({"instruction": "q"}, "output: is missing"),
    "input as a list": ({**ALPACA, "input": []}, "input: is a list"),
    "system as a number": ({**ALPACA, "system": 5}, "system: is a number"),
    "a history of texts": ({**ALPACA, "history": ["q"]}, r"history\[0\]: is no pair"),
    "a history with a hole": ({**ALPACA, "history": [["q", ""]]}, r"history\[0\].answer: is empty"),
    "no completion": ({"prompt": "q"}, "completion: is missing"),
    "a completion of no message": ({"prompt": "q", "completion": []}, "completion: holds no message"),
    "no answer to a question": ({"question": "q", "answer": None}, "answer: is missing"),
    "blank text": ({"text": "\n"}, "text: is empty"),
    "half a surrogate pair": ({"text": "\ud800"}, "text: holds half a surrogate pair"),
    "half a surrogate pair in a call": (_called([{"function": {"name": "f", "arguments": {"x": "\ud800"}}}]), "half"),
    "a preference": (PREFERENCES["texts"], "set objective dpo"),
}


@pytest.mark.parametrize(("document", "text"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_bad_row_is_refused_with_field_and_remedy(document: object, text: str) -> None:
    with pytest.raises(Fault, match=text) as caught:
        row_of(document, 1)

    assert ";" in str(caught.value), "the remedy stands behind a semicolon"


BAD_PREFERENCES: dict[str, tuple[dict[str, Any], str]] = {
    "one answer": (ALPACA, "has no chosen and rejected answer"),
    "nothing rejected": ({"prompt": "q", "chosen": "a"}, "rejected: is missing"),
    "no question": ({"chosen": "a", "rejected": "b"}, "prompt: is missing"),
    "the same twice": ({"prompt": "q", "chosen": "a", "rejected": "a"}, "nothing to prefer"),
    "input as a text": ({"input": "q", "preferred_output": [ANSWER]}, "input: is|non_preferred_output: is missing"),
    "nothing preferred": (
        {"input": {"messages": [QUESTION]}, "preferred_output": [], "non_preferred_output": [WORSE]},
        "preferred_output: holds no message",
    ),
}


@pytest.mark.parametrize(("document", "text"), BAD_PREFERENCES.values(), ids=BAD_PREFERENCES)
def test_a_bad_preference_is_refused_with_field_and_remedy(document: dict[str, Any], text: str) -> None:
    with pytest.raises(Fault, match=text):
        row_of(document, 1, "dpo")


def test_texts_are_composed_and_lose_their_controls_and_carriage_returns() -> None:
    assert normalised("e\u0301\r\nb\x00\x07\u0085\tc\r") == "\u00e9\nb\tc\n"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_normalising_twice_is_normalising_once(text: str) -> None:
    assert normalised(normalised(text)) == normalised(text)


KEYS = ("messages", "conversations", "instruction", "input", "output", "history", "system", "prompt", "completion")
MORE_KEYS = (
    "role",
    "content",
    "from",
    "value",
    "tool_calls",
    "function",
    "name",
    "arguments",
    "tools",
    "text",
    "weight",
)
PREFERENCE_KEYS = ("chosen", "rejected", "preferred_output", "non_preferred_output")
LEAVES = (
    st.none() | st.booleans() | st.integers(-1, 2) | st.sampled_from(["user", "assistant", "human", "gpt", "{}", "a"])
)
DOCUMENTS = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS + MORE_KEYS + PREFERENCE_KEYS), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(st.sampled_from(KEYS + PREFERENCE_KEYS), DOCUMENTS, min_size=1, max_size=4),
    st.sampled_from(["dpo", "supervised"]),
)
@settings(max_examples=150, deadline=None)
def test_any_document_is_a_row_or_has_a_reason(document: dict[str, Any], objective: Objective) -> None:
    with suppress(Fault):
        row = row_of(document, 1, objective)
        assert bool(row.rejected) == (objective == "dpo")
        assert any(turn.learned for turns in row.conversations for turn in turns)


def test_a_row_as_deep_as_json_allows_is_refused() -> None:
    tool: dict[str, Any] = {}
    for _ in range(5_000):
        tool = {"a": tool}

    with pytest.raises(Fault, match="nested too deeply"):
        row_of({**_chat(QUESTION, ANSWER), "tools": [tool]}, 1)
