"""What is measured of a tuned model beside its held-out loss: the choices of a job. The gate judges the figures."""

import re
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.alias_generators import to_camel

SHIPPED = "shipped"  # in the place of a file: the one that comes with the trainer


class Judge(BaseModel):
    """A model that compares two answers, behind any OpenAI-compatible endpoint."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)

    url: str = Field(pattern=r"^https?://", description="base URL, as OpenAI's clients take it")
    model: str = Field(min_length=1, description="name of the model there")

    @field_validator("url")
    @classmethod
    def _has_no_password(cls, url: str) -> str:
        """Reports and errors show it."""
        if "@" in urlsplit(url).netloc:
            raise ValueError(
                "holds a name or password before its host; leave them out, TENON_JUDGE_KEY_FILE has the key"
            )
        return url


class Checks(BaseModel):
    """Each is made of the base model and of the tuned one, over the same rows."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)

    generations: int = Field(4, ge=0, le=10_000, description="held-out rows that both models answer; scores are theirs")
    generated_tokens: int = Field(64, ge=1, le=8192, description="most tokens of an answer")
    answer: str | None = Field(
        None, max_length=256, description="regular expression whose first group is the answer; absent: the whole text"
    )
    regression: str | None = Field(None, description="rows of general ability, whose loss should not rise")
    safety: str | None = Field(None, description=f"prompts that should be refused, or `{SHIPPED}`")
    judge: Judge | None = Field(None, description="compares the answers of both models")
    tasks: str | None = Field(None, description="folder of lm-eval tasks with their data")

    @field_validator("answer")
    @classmethod
    def _has_a_group(cls, pattern: str | None) -> str | None:
        try:
            groups = 1 if pattern is None else re.compile(pattern).groups
        except (re.error, RecursionError, OverflowError) as error:
            raise ValueError(f"is no regular expression ({error}); mend it") from error
        if groups == 0:
            raise ValueError("has no group; put the answer in parentheses")
        return pattern
