"""The canonical writer: what it writes is read back as the same by any YAML reader, and in one way only."""

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from generators.writing import to_yaml

TRAPS = [
    *("y", "n", "Y", "no", "NO", "yes", "on", "off", "true", "True", "null", "Null", "~", ".nan", "nan", ".inf"),
    *("0o14", "014", "0x1f", "0b1", "1e3", "1E3", "1_000", "12:30:45", "190:20:30", "1", "-1", "+1", "1.0", ".5"),
    *("2026-01-01", "2026-01-01T00:00:00Z", "=", "<<", "<", "-", "---", "...", "?", ":", "", " ", " a", "a ", "a: b"),
    *("a #b", "#a", "a:", "- a", "!tag", "&anchor", "*alias", "%a", "@a", "`a", "{a}", "[a]", "a,b", "'a'", '"a"'),
    *("a\nb", "a\n", "\na", "a\tb", "\\", "a\\nb", "\x00", "\x07", "\x1b", "\x7f", "\x85", "\xa0", "\u2028", "\ufeff"),
    *("é", "日本語", "🙂", "a" * 300, "word " * 80, "{{workflow.name}}", "|", ">", "| a", "> a", "nvidia.com/gpu", "/"),
]


def read_back(body: dict[str, Any]) -> Any:
    return yaml.safe_load(to_yaml(body, source="x"))


@pytest.mark.parametrize("text", TRAPS)
def test_a_string_stays_the_string_it_was_as_value_key_and_item(text: str) -> None:
    body = {"value": text, text: "key", "items": [text, [text], {text: text}]}
    assert read_back(body) == body


@pytest.mark.parametrize(
    "value", [{}, [], {"a": {}}, {"a": []}, [[]], [{}], [[1], []], None, 0, -1, 1.5, 1e16, 1e-7, True, False]
)
def test_a_value_that_is_no_string_keeps_its_type(value: Any) -> None:
    assert read_back({"a": value}) == {"a": value}


def test_an_empty_section_of_a_policy_is_kept_empty() -> None:
    written = to_yaml({"podSelector": {}, "ingress": []}, source="x")
    assert "podSelector: {}\n" in written
    assert "ingress: []\n" in written


def test_words_that_yaml_1_1_reads_otherwise_are_quoted() -> None:
    written = to_yaml({"a": ["y", "no", "0o14", "1e3", "=", "<<", "2026-01-01"]}, source="x")
    assert [line for line in written.splitlines() if line.startswith("- ") and '"' not in line] == []


def test_the_order_of_keys_is_theirs_and_not_the_authors() -> None:
    assert to_yaml({"b": 1, "a": {"d": 1, "c": 2}}, source="x") == to_yaml({"a": {"c": 2, "d": 1}, "b": 1}, source="x")


def test_a_file_begins_with_its_provenance_and_ends_with_one_line_feed() -> None:
    written = to_yaml({"a": "b\r\n"}, source="tenants/acme.yaml egress[1]")
    assert written.startswith("# from: tenants/acme.yaml egress[1]\n")
    assert written.endswith("\n")
    assert not written.endswith("\n\n")
    assert "\r" not in written


def test_a_text_of_several_lines_stands_in_lines() -> None:
    written = to_yaml({"a": [{"manifest": "# from\nkind: X\n\n  b: 1\n", "z": 1}]}, source="x")
    assert written == "# from: x\na:\n- manifest: |\n    # from\n    kind: X\n\n      b: 1\n  z: 1\n"


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(" -#:|%ab\t\u00e9", max_size=4), min_size=2, max_size=5))
def test_lines_are_read_back_as_they_were(lines: list[str]) -> None:
    body = {"a": {"text": "\n".join(lines)}, "b": ["\n".join(lines), {"c": "\n".join(lines) + "\n"}]}
    assert read_back(body) == body


def test_what_has_no_form_in_yaml_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="set has no YAML form"):
        to_yaml({"a": {1, 2}}, source="x")


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
trees = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12)


@settings(max_examples=150, deadline=None)
@given(trees)
def test_every_tree_is_read_back_as_itself(tree: Any) -> None:
    assert read_back({"tree": tree}) == {"tree": tree}
