"""The choices of an evaluation are refused where they are written, before a job begins."""

from typing import Any

import pytest
from pydantic import ValidationError

from trainer.contract.checks import Checks


@pytest.mark.parametrize(
    ("checks", "said"),
    [
        ({"answer": "("}, r"is no regular expression .*; mend it"),
        ({"answer": "(?P<n>"}, "is no regular expression"),
        ({"answer": "####"}, "has no group; put the answer in parentheses"),
        ({"judge": {"url": "http://me:secret@judge/v1", "model": "m"}}, "holds a name or password before its host"),
        ({"judge": {"url": "https://me@judge/v1", "model": "m"}}, "holds a name or password before its host"),
    ],
    ids=str,
)
def test_a_choice_that_cannot_be_measured_is_refused(checks: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Checks.model_validate(checks)


def test_an_at_sign_in_a_path_is_no_password() -> None:
    Checks.model_validate({"judge": {"url": "http://judge/v1/@team", "model": "m"}, "answer": "#### (.*)"})
