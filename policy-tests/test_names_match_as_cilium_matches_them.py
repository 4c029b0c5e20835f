"""DNS patterns: what Cilium's engine answered as a table, and two rules that hold for all names."""

import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from isolation.policies.names import NamePattern, normal

LABEL = st.from_regex(r"[a-z0-9_]([a-z0-9_-]{0,10}[a-z0-9_])?", fullmatch=True)
NAME = st.lists(LABEL, min_size=1, max_size=5).map(".".join)


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("*", "any.thing", True),
        ("**", "any.thing", True),
        ("*.s3.amazonaws.com", "b.s3.amazonaws.com", True),
        ("*.s3.amazonaws.com", "b.s3.eu-west-1.amazonaws.com", False),
        ("*s3.amazonaws.com", "xs3.amazonaws.com", True),
        ("bucket-a*.s3.amazonaws.com", "bucket-a-evil.s3.amazonaws.com", True),
        ("**.example.com", "a.b.example.com", True),
        ("**.example.com", "example.com", False),
        ("*.example.com", "a.b.example.com", False),
        ("a**b.example.com", "axb.example.com", True),
        ("sub*.example.com", "SUB1.Example.COM.", True),
        ("a.example.com", "axexample.com", False),
        ("***.example.com", "a.b.example.com", True),
        ("a.**.example.com", "a.b.c.example.com", False),
        ("a.**.example.com", "a.b.example.com", True),
        ("*.example.com", ".example.com", True),
        ("**.example.com", ".example.com", False),
        ("a*b*c.example", "axxbyyc.example", True),
        ("a*b*c.example", "ac.example", False),
        ("ab*bc.example", "abc.example", False),
        ("a.example", "a.example..", False),
        ("*", ".", True),
        ("", ".", False),
    ],
)
def test_a_pattern_matches_what_the_proxy_matches(pattern: str, name: str, matches: bool) -> None:  # noqa: FBT001
    assert NamePattern(pattern, is_pattern=True).matches(name) is matches


@settings(max_examples=50, deadline=None)
@given(name=NAME, other=NAME)
def test_an_exact_name_matches_itself_in_every_spelling_and_nothing_else(name: str, other: str) -> None:
    exact = NamePattern(name, is_pattern=False)
    assert exact.matches(name.upper() + ".")
    assert exact.matches(other) == (other == name)


def expression(pattern: str) -> re.Pattern[str]:
    """The pattern as Cilium translates it."""
    text = pattern.lower().rstrip(".") + "."
    text = re.sub(r"^\*{2,}\.", "@", text).replace(".", "[.]")
    text = re.sub(r"\*+", "[-a-z0-9_]*", text)
    return re.compile(text.replace("@", r"[-a-z0-9_]+([.][-a-z0-9_]+)*[.]"))


@settings(max_examples=300, deadline=None)
@given(pattern=st.text("ab*.", min_size=1, max_size=8), name=st.text("ab.", max_size=8))
def test_a_pattern_matches_what_its_expression_matches(pattern: str, name: str) -> None:
    """Ours compares label by label and never backtracks; Cilium's way is the expression."""
    assume(pattern.strip("*").strip(".") and not pattern.endswith(".."))
    wanted = bool(expression(pattern).fullmatch(normal(name)))
    assert NamePattern(pattern, is_pattern=True).matches(name) is wanted


def test_a_pattern_of_many_stars_is_answered_at_once() -> None:
    pattern = NamePattern("a*" * 120 + "b", is_pattern=True)
    assert not pattern.matches("a" * 5000)
    assert pattern.matches("a" * 5000 + "b")


@settings(max_examples=50, deadline=None)
@given(name=NAME)
def test_a_star_crosses_no_dot(name: str) -> None:
    assert NamePattern("*.example", is_pattern=True).matches(f"{name}.example") == ("." not in name)
