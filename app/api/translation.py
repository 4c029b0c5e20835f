"""OpenAI's words for a request, read as our own; our refusals told in theirs. The answer is job_object.py's."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.api.errors import FieldError, Problem, bad_fields, field_errors
from app.contract.job import FinetuneRequest

# Our field -> OpenAI's, for the errors of rules that both APIs share.
_FIELDS = {
    "modelId": "model",
    "datasetUrl": "training_file",
    "evaluationUrl": "validation_file",
    "callbackUrl": "callback_url",
    "epochs": "n_epochs",
    "batchRows": "batch_size",
    "learningRateMultiplier": "learning_rate_multiplier",
}
_AUTO = "auto"


def _none_for_auto(value: object) -> object:
    return None if value == _AUTO else value


def _none_offered(value: Sequence[object] | None) -> Sequence[object] | None:
    if value:
        raise ValueError("no integration is offered to a single job; where curves are shown is set for all jobs")
    return value


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class AskedTunables(_Body):
    """`hyperparameters`; auto, like an absent one, is the recipe's value."""

    n_epochs: Annotated[int | Literal["auto"] | None, AfterValidator(_none_for_auto)] = None
    batch_size: Annotated[int | Literal["auto"] | None, AfterValidator(_none_for_auto)] = None
    learning_rate_multiplier: Annotated[float | Literal["auto"] | None, AfterValidator(_none_for_auto)] = None

    def to_ours(self) -> dict[str, object]:
        return {
            "epochs": self.n_epochs,
            "batchRows": self.batch_size,
            "learningRateMultiplier": self.learning_rate_multiplier,
        }


class AskedPreferenceTunables(AskedTunables):
    """Those of `dpo`."""

    beta: Annotated[float | Literal["auto"] | None, AfterValidator(_none_for_auto)] = None

    def to_ours(self) -> dict[str, object]:
        return {**super().to_ours(), "beta": self.beta, "objective": "dpo"}


class AskedSupervised(_Body):
    """`method.supervised`."""

    hyperparameters: AskedTunables = AskedTunables()


class AskedPreference(_Body):
    """`method.dpo`."""

    hyperparameters: AskedPreferenceTunables = AskedPreferenceTunables()


class AskedMethod(_Body):
    """`method`: how the model is tuned. Reinforcement is not offered."""

    type: Literal["supervised", "dpo"]
    supervised: AskedSupervised | None = None
    dpo: AskedPreference | None = None

    @model_validator(mode="after")
    def _of_its_type(self) -> "AskedMethod":
        other = self.dpo if self.type == "supervised" else self.supervised
        if other is not None:
            raise ValueError(f"type is {self.type} and the other method's parameters are given; leave those out")
        return self

    @property
    def tunables(self) -> AskedTunables:
        if self.type == "dpo":
            return (self.dpo or AskedPreference()).hyperparameters
        return (self.supervised or AskedSupervised()).hyperparameters


class CreateJob(_Body):
    """Body of `POST /v1/fine_tuning/jobs`; `callback_url` is ours."""

    model: str
    training_file: str
    validation_file: str | None = None
    suffix: str | None = None
    seed: int | None = None
    metadata: dict[str, str] | None = None
    hyperparameters: AskedTunables | None = Field(None, description="OpenAI's older place of method.supervised's")
    method: AskedMethod | None = None
    integrations: Annotated[list[Any] | None, AfterValidator(_none_offered)] = Field(
        None, max_length=8, description="none are offered"
    )
    callback_url: str | None = Field(None, description="https URL that is told how the job ended")

    @model_validator(mode="after")
    def _tunables_stand_once(self) -> "CreateJob":
        if self.method is not None and self.hyperparameters is not None:
            raise ValueError("method and hyperparameters are both given; keep method, which holds its own")
        return self

    def to_request(self) -> FinetuneRequest:
        """The same job in our own words. Raises Problem 400 with every field, in OpenAI's."""
        tunables = self.method.tunables if self.method else self.hyperparameters or AskedTunables()
        try:
            return FinetuneRequest.model_validate(
                {
                    "modelId": self.model,
                    "datasetUrl": self.training_file,
                    "evaluationUrl": self.validation_file,
                    "callbackUrl": self.callback_url,
                    "suffix": self.suffix,
                    "seed": self.seed or 0,
                    "metadata": self.metadata or {},
                    "hyperparameters": tunables.to_ours(),
                }
            )
        except ValidationError as error:
            raise bad_fields(self.renamed(field_errors(error))) from error

    def in_their_words(self, problem: Problem) -> Problem:
        """A refusal of the rules that both APIs share, with the fields as they stand in this body."""
        return bad_fields(self.renamed(problem.errors)) if problem.status == 400 and problem.errors else problem  # noqa: PLR2004

    def renamed(self, errors: Sequence[FieldError]) -> list[FieldError]:
        return [replace(error, place=self._place(error.place)) if error.in_body else error for error in errors]

    def _place(self, place: tuple[str, ...]) -> tuple[str, ...]:
        above = ("method", self.method.type) if self.method and place[:1] == ("hyperparameters",) else ()
        return (*above, *(_FIELDS.get(step, step) for step in place))


def asked_of(body: bytes) -> CreateJob:
    """The body. Raises Problem 400 with every field."""
    try:
        return CreateJob.model_validate_json(body)
    except ValidationError as error:
        raise bad_fields(_without_branches(field_errors(error))) from error


def _without_branches(errors: Sequence[FieldError]) -> list[FieldError]:
    """One error for each place: pydantic names each form that a value could have had, `auto` and a number."""
    branches = {"int", "float", "literal['auto']"}
    places: dict[tuple[tuple[str, ...], str], FieldError] = {}
    for error in errors:
        place = tuple(step for step in error.place if step not in branches)
        forms = len(place) < len(error.place)
        made = replace(error, place=place, detail="must be auto or a number") if forms else error
        places.setdefault((place, made.detail), made)
    return list(places.values())
