"""A recipe: how a base model is tuned. Recipes are data (trainer/recipes/*.yaml); a job may override the tunables."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel


class Hyperparameters(BaseModel):
    """What a caller may change of a recipe; an absent field keeps the recipe's value."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)

    epochs: int | None = Field(None, ge=1, le=100, description="passes over the training rows")
    max_steps: int | None = Field(None, ge=1, le=1_000_000, description="upper bound of optimizer steps")
    learning_rate: float | None = Field(None, gt=0, le=1, description="peak learning rate")
    rank: int | None = Field(None, ge=1, le=256, description="rank of the LoRA matrices")


class Recipe(BaseModel):
    """One row of trainer/recipes/."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)

    method: Literal["lora", "qlora", "full"] = Field(
        "lora", description="which weights are trained, and how the base is held"
    )
    parallel: Literal["single", "ddp", "fsdp2"] = Field("single", description="how ranks divide the work")
    nodes: int = Field(1, ge=1, le=64, description="pods of one job")
    gpus_per_node: int = Field(1, ge=0, le=16, description="ranks of one pod, one GPU each; 0: one rank on the CPU")
    attention: Literal["eager", "sdpa", "flash"] = Field(
        "sdpa", description="attention kernel; flash needs Ampere or newer"
    )
    rank: int = Field(16, ge=1, le=256, description="rank of the LoRA matrices")
    alpha: int = Field(32, ge=1, le=1024, description="LoRA scale; updates are multiplied by alpha / rank")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout on the LoRA input")
    targets: tuple[str, ...] = Field(("all-linear",), min_length=1, description="modules that get an adapter")
    epochs: int = Field(1, ge=1, description="passes over the training rows")
    max_steps: int | None = Field(None, ge=1, description="upper bound of optimizer steps")
    width: int = Field(512, ge=16, description="tokens of a packed row")
    batch_rows: int = Field(4, ge=1, description="packed rows of one optimizer step, over all ranks")
    learning_rate: float = Field(2e-4, gt=0, le=1, description="peak learning rate")
    warmup_steps: int = Field(10, ge=0, description="steps of linear warm-up before the cosine")
    weight_decay: float = Field(0.0, ge=0, description="AdamW weight decay")
    max_grad_norm: float = Field(1.0, gt=0, description="gradients are clipped to this norm")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="of the base model; adapters stay fp32")
    checkpoint_steps: int = Field(20, ge=1, description="optimizer steps between two checkpoints")
    keep_checkpoints: int = Field(2, ge=1, description="complete checkpoints that are kept")

    @model_validator(mode="after")
    def _parts_fit(self) -> "Recipe":
        if self.method == "qlora" and self.parallel == "fsdp2":
            raise ValueError(
                "qlora with fsdp2 trains nothing or NaN (bitsandbytes loses its state); use qlora with ddp"
            )
        if self.method == "full" and self.parallel == "ddp":
            raise ValueError("full with ddp copies every weight to each rank; use full with fsdp2")
        if (self.parallel == "single") != (self.ranks == 1):
            raise ValueError(
                f"parallel {self.parallel} and {self.ranks} ranks do not fit; one rank is single, more are not"
            )
        return self

    @property
    def ranks(self) -> int:
        """Processes of one job."""
        return self.nodes * max(self.gpus_per_node, 1)

    @property
    def gpus(self) -> int:
        """GPUs of one job."""
        return self.nodes * self.gpus_per_node

    def with_overrides(self, hyperparameters: Hyperparameters) -> "Recipe":
        changed = hyperparameters.model_dump(exclude_none=True)
        return self.model_copy(update=changed)
