"""Which rows of a data set are trained on: the choices of a job. trainer/data/ has the rules."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Filters(BaseModel):
    """In the order they are applied; the report counts what each of them dropped or changed."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)

    max_rows: int | None = Field(None, ge=1, description="rows read at most; the rest of the file is left")
    max_bytes: int | None = Field(None, ge=1, description="a larger file is refused")
    repetition: bool = Field(default=True, description="drop answers that repeat themselves (Gopher's cut-offs)")
    languages: tuple[str, ...] = Field((), description="ISO 639-1 codes that are kept; none: not looked at")
    personal_data: Literal["keep", "redact", "drop"] = Field(
        "redact", description="e-mail, phone, IBAN, card and public IP numbers, and keys: what happens to rows with one"
    )
    near_duplicates: float | None = Field(
        0.8, gt=0, le=1, description="Jaccard similarity of word 5-grams from which a row counts as a copy; absent: off"
    )
    max_leak_share: float = Field(
        0.0, ge=0, le=1, description="share of held-out rows that may also stand in the training rows; more: refused"
    )
    decontaminate: tuple[str, ...] = Field(
        (), description="files of test rows; a training row that is one or shares 13 words in a row is dropped"
    )
