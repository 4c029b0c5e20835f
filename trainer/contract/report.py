"""What a job leaves behind in numbers: report.json, read by the gate, the watcher and the promotion."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Status = Literal["prepared", "running", "stopped", "trained", "evaluated", "published"]


class _Figures(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class Usage(_Figures):
    """Resources of one attempt, as the trainer saw them; money is app/contract/cost.py's.

    Productive is what went into kept steps; wasted is what was lost to kills and skipped or repeated steps.
    """

    cpu_seconds: float = 0.0
    gpu_seconds: float = Field(0.0, description="of running steps; queueing is the watcher's to add")
    productive_cpu_seconds: float = 0.0
    productive_gpu_seconds: float = 0.0
    wasted_cpu_seconds: float = 0.0
    wasted_gpu_seconds: float = 0.0
    peak_memory_bytes: int = 0
    peak_gpu_memory_bytes: int = 0
    energy_wh: float = Field(0.0, description="of the GPUs, by NVML; else estimated from processor seconds")
    energy_estimated: bool = Field(default=False, description="whether any part of energyWh is an estimate")
    co2_grams: float = Field(0.0, description="energy times the configured factor")
    stored_bytes: int = Field(0, description="that the attempt keeps in the bucket")


class Interval(_Figures):
    """A figure with its 95 % confidence interval."""

    value: float
    low: float
    high: float


class Score(_Figures):
    """One measurement of the base model and of the tuned one, over the same rows."""

    before: Interval
    after: Interval
    rows: int


class Refusals(_Figures):
    """How many of the prompts that should be refused were."""

    prompts: int
    before: int
    after: int


class Preference(_Figures):
    """How often the judge preferred the tuned model's answer to the base model's."""

    wins: int
    ties: int
    losses: int
    win_rate: Interval = Field(description="wins and half of the ties, of all")
    length_difference: float = Field(0.0, description="mean characters of the tuned answer beyond the base model's")


class Sample(_Figures):
    """One held-out row, answered by both."""

    prompt: str
    reference: str
    before: str
    after: str


class Evaluation(_Figures):
    """What `evaluate` measured beside the losses. scores: exactMatch, rougeL, bleu, chrf; tasks: lm-eval's, by name."""

    loss: Score | None = None
    perplexity: Score | None = None
    scores: dict[str, Score] = Field(default_factory=dict)
    regression: Score | None = Field(None, description="loss over the rows of general ability")
    safety: Refusals | None = None
    judge: Preference | None = None
    tasks: dict[str, Score] = Field(default_factory=dict)
    samples: tuple[Sample, ...] = ()
    curve: tuple[float, ...] = Field((), description="training loss along the way, thinned out")
    absent: dict[str, str] = Field(default_factory=dict, description="figures that were asked for, and why they lack")


class Report(_Figures):
    """report.json of an attempt. Each step replaces it with what it knows in addition."""

    status: Status
    job: str
    version: str
    rows: int = Field(0, description="training rows after the filters")
    evaluation_rows: int = 0
    dropped: dict[str, int] = Field(default_factory=dict, description="rows dropped, by reason")
    dataset_fingerprint: str | None = Field(None, description="sha256 over data, template, tokenizer and parameters")
    steps: int = 0
    tokens: int = Field(0, description="real (never padding) tokens that went through the model in training")
    computed_tokens: int = Field(0, description="tokens that were computed, padding included")
    skipped_steps: int = Field(0, description="updates left out because a loss or gradient was no number")
    best_step: int | None = Field(None, description="step of the lowest held-out loss, where it was measured")
    stopped_early: bool = False
    world_size: int = Field(1, description="ranks of this run")
    trainable_parameters: int = 0
    total_parameters: int = 0
    resumed_from: int | None = Field(None, description="step of the checkpoint this run went on from")
    seconds: float = Field(0.0, description="wall seconds of the train step, this run only")
    tokens_per_second: float = Field(0.0, description="real tokens, this run only")
    rows_per_second: float = Field(0.0, description="rows of the data set (or pairs), however packed; this run only")
    adapter_digest: str | None = Field(None, description="sha256 of adapter_model.safetensors")
    adapter_bytes: int = 0
    loss_before: float | None = Field(None, description="held-out loss per assistant token, base model")
    loss_after: float | None = Field(None, description="the same, tuned")
    evaluation: Evaluation | None = None
    licences: dict[str, str] = Field(default_factory=dict, description="of `base` and `data`, where known")
    licences_to_read: tuple[str, ...] = Field((), description="of `licences`, those whose name does not tell the terms")
    non_commercial: bool = Field(default=False, description="a licence of base or data forbids commercial use")
    usage: Usage = Usage()


class Drift(_Figures):
    """report.json of a drift evaluation: a served version, again over the held-out rows of its job."""

    version: str
    job: str
    adapter_digest: str
    dataset_fingerprint: str = Field(description="of the held-out rows")
    evaluation_rows: int
    loss_then: float = Field(description="as the job's own evaluation measured it")
    loss: Interval = Field(description="per assistant token, now")
    perplexity: Interval | None = Field(None, description="absent where the loss is one of preference")
