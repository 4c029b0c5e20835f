"""What a job leaves behind in numbers: report.json, read by the gate, the watcher and the promotion."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Status = Literal["prepared", "running", "stopped", "trained", "evaluated", "published"]


class Usage(BaseModel):
    """Resources of one attempt, as the trainer saw them; money is app/contract/cost.py's."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)

    cpu_seconds: float = 0.0
    gpu_seconds: float = 0.0
    peak_memory_bytes: int = 0


class Report(BaseModel):
    """report.json of an attempt. Each step replaces it with what it knows in addition."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)

    status: Status
    job: str
    version: str
    rows: int = Field(0, description="training rows after the filters")
    evaluation_rows: int = 0
    dropped: dict[str, int] = Field(default_factory=dict, description="rows dropped, by reason")
    dataset_fingerprint: str | None = Field(None, description="sha256 over data, template, tokenizer and parameters")
    steps: int = 0
    tokens: int = Field(0, description="real (never padding) tokens that went through the model in training")
    trainable_parameters: int = 0
    total_parameters: int = 0
    resumed_from: int | None = Field(None, description="step of the checkpoint this run went on from")
    seconds: float = Field(0.0, description="wall seconds of the train step, this run only")
    tokens_per_second: float = 0.0
    adapter_digest: str | None = Field(None, description="sha256 of adapter_model.safetensors")
    adapter_bytes: int = 0
    loss_before: float | None = Field(None, description="held-out loss per assistant token, base model")
    loss_after: float | None = Field(None, description="the same, tuned")
    usage: Usage = Usage()
