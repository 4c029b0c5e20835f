"""What the API answers, one type per object: OpenAI's members first, ours after them.

The OpenAPI document is made from these.
"""

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict  # pydantic reads typing's own only from Python 3.12 on

Auto = Literal["auto"]


class Submitted(TypedDict):
    """Answer of `POST /api/finetune`."""

    message: str
    jobId: str


class Tunables(TypedDict):
    """Hyperparameters as they were asked for; `auto` is the recipe's own value."""

    n_epochs: int | Auto
    batch_size: int | Auto
    learning_rate_multiplier: float | Auto


class PreferenceTunables(Tunables):
    """Those of `dpo`."""

    beta: float | Auto


class SupervisedMethod(TypedDict):
    hyperparameters: Tunables


class PreferenceMethod(TypedDict):
    hyperparameters: PreferenceTunables


class Supervised(TypedDict):
    """`method` of a job that learns answers."""

    type: Literal["supervised"]
    supervised: SupervisedMethod


class Preference(TypedDict):
    """`method` of a job that learns which of two answers is preferred."""

    type: Literal["dpo"]
    dpo: PreferenceMethod


class JobError(TypedDict):
    """Why a job failed; `param` names the member of the request that caused it, where one did."""

    code: str
    message: str
    param: str | None


class Queue(TypedDict):
    """Why a queued job has not begun; 1 is the next of its tenant. estimatedStart: Unix seconds, where known."""

    position: int | None
    reason: str
    message: str
    estimatedStart: int | None


class Money(TypedDict):
    """An amount with four decimals."""

    amount: str
    currency: str


class JobObject(TypedDict):
    """A job; `queue` and `cost` are null in lists."""

    id: str
    object: Literal["fine_tuning.job"]
    created_at: int
    finished_at: int | None
    estimated_finish: int | None
    status: Literal["queued", "running", "pausing", "paused", "succeeded", "failed", "cancelled"]
    model: str
    fine_tuned_model: str | None
    organization_id: str
    training_file: str
    validation_file: str | None
    result_files: list[str]
    trained_tokens: int | None
    seed: int
    hyperparameters: Tunables
    method: Supervised | Preference
    integrations: list[Any]
    metadata: dict[str, str]
    error: JobError | None
    attempt: int
    progress: float | None
    traceparent: str | None
    queue: Queue | None
    cost: Money | None


class EventObject(TypedDict):
    """One entry of a job's history; `id` is the cursor of lists and streams."""

    id: str
    object: Literal["fine_tuning.job.event"]
    created_at: int
    level: Literal["info", "warn", "error"]
    message: str
    type: Literal["message", "metrics"]
    data: dict[str, Any]


class CheckpointObject(TypedDict):
    """A checkpoint a stopped job goes on from; `attempt` is ours."""

    id: str
    object: Literal["fine_tuning.job.checkpoint"]
    created_at: int
    fine_tuned_model_checkpoint: str
    fine_tuning_job_id: str
    step_number: int
    metrics: dict[str, float | None]
    attempt: int


class FileObject(TypedDict):
    """A file; `sha256` is ours."""

    id: str
    object: Literal["file"]
    bytes: int
    created_at: int
    filename: str
    purpose: Literal["fine-tune", "fine-tune-results"]
    status: Literal["uploaded", "processed"]
    expires_at: int | None
    status_details: None
    sha256: str | None


class DeletedFile(TypedDict):
    id: str
    object: Literal["file"]
    deleted: Literal[True]


class UploadObject(TypedDict):
    """A file that is sent to the object store itself: `PUT` the bytes to `url` with `headers`, then complete it."""

    id: str
    object: Literal["upload"]
    bytes: int
    created_at: int
    expires_at: int
    filename: str
    purpose: Literal["fine-tune"]
    status: Literal["pending", "completed", "cancelled"]
    file: FileObject | None
    method: Literal["PUT"]
    url: str | None
    headers: dict[str, str]


class ModelObject(TypedDict):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class Bounds(TypedDict):
    """What a hyperparameter may be; `default` is the recipe's."""

    minimum: float | None
    exclusiveMinimum: float | None
    maximum: float | None
    exclusiveMaximum: float | None
    choices: list[str] | None
    default: float | str | None


class ModelLimits(TypedDict):
    """What jobs over one model may ask for."""

    model: str
    base: str
    recipe: str
    licence: str
    method: str | None
    context_width: int | None
    gpus: int | None
    batch_multiple: int | None
    can_search: bool
    hyperparameters: dict[str, Bounds]


class LimitsList(TypedDict):
    object: Literal["list"]
    data: list[ModelLimits]


class BudgetState(TypedDict):
    monthly: str
    spent: str
    remaining: str
    currency: str
    hardStop: bool


class EstimateObject(TypedDict):
    """What a job would take; null is not known, and `basis` says what the figures rest on."""

    object: Literal["fine_tuning.estimate"]
    model: str
    recipe: str
    bytes: int
    epochs: int
    tokens: int
    cpu_seconds: float | None
    gpu_seconds: float | None
    cost: Money | None
    basis: list[str]
    budget: BudgetState | None
    within_budget: bool | None
    allowed_to_proceed: bool


class PreviewToken(TypedDict):
    id: int
    text: str
    learned: bool


class PreviewRow(TypedDict):
    """A document as the training sees it; the loss counts the tokens that are learned."""

    line: int
    rejected: bool
    tokens: list[PreviewToken]


class PreviewObject(TypedDict):
    object: Literal["fine_tuning.job.preview"]
    job: str
    data: list[PreviewRow]


class FieldProblem(TypedDict):
    """What is wrong with one field. `pointer` (RFC 6901) is of the body; headers and parameters have none."""

    field: str
    code: str
    detail: str
    pointer: NotRequired[str]


class OpenAIError(TypedDict):
    """What OpenAI's client unwraps."""

    message: str
    type: str
    param: str | None
    code: str


class ProblemBody(TypedDict):
    """RFC 9457, with what other kinds of clients read beside it."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    invalidParams: list[FieldProblem]
    errors: dict[str, list[str]]
    error: OpenAIError
    message: str


class WebhookKey(TypedDict):
    """A generation of the key that signs; `secret` is shown when it is made and never again."""

    id: str
    object: Literal["webhook.key"]
    generation: int
    created_at: int
    expires_at: int | None


class NewWebhookKey(WebhookKey):
    secret: str


class Delivery(TypedDict):
    """What is told, or was told, to a job's callback."""

    id: str
    object: Literal["webhook.delivery"]
    type: str
    job_id: str
    url: str
    status: str
    attempts: int
    created_at: int
    next_attempt_at: int | None
    delivered_at: int | None
    last_status: int | None
    last_error: str | None


class Health(TypedDict):
    status: str
