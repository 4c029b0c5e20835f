"""A recipe: how a base model is tuned. Recipes are data (trainer/recipes/*.yaml); a job may override the tunables."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

Objective = Literal["supervised", "dpo"]
Precision = Literal["fp32", "bf16", "fp16"]
Attention = Literal["eager", "sdpa", "flex", "flash"]


class Hyperparameters(BaseModel):
    """What a caller may change of a recipe; an absent field keeps the recipe's value."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)

    epochs: int | None = Field(None, ge=1, le=100, description="passes over the training rows")
    max_steps: int | None = Field(None, ge=1, le=1_000_000, description="upper bound of optimizer steps")
    learning_rate: float | None = Field(None, gt=0, le=1, description="peak learning rate")
    learning_rate_multiplier: float | None = Field(
        None, gt=0, le=100, description="times the recipe's peak learning rate; not beside learningRate"
    )
    rank: int | None = Field(None, ge=1, le=256, description="rank of the LoRA matrices")
    dropout: float | None = Field(None, ge=0, lt=1, description="dropout on the LoRA input")
    batch_rows: int | None = Field(None, ge=1, le=65_536, description="packed rows of one optimizer step")
    objective: Objective | None = Field(None, description="what is learned: answers, or which of two is preferred")
    beta: float | None = Field(None, gt=0, le=10, description="dpo: how far the model may go from the base")

    @model_validator(mode="after")
    def _one_rate(self) -> "Hyperparameters":
        if self.learning_rate is not None and self.learning_rate_multiplier is not None:
            raise ValueError("learningRate and learningRateMultiplier are two words for one rate; leave one out")
        return self


class Recipe(BaseModel):
    """One row of trainer/recipes/."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)

    method: Literal["lora", "qlora", "full"] = Field(
        "lora", description="which weights are trained, and how the base is held"
    )
    objective: Objective = Field("supervised", description="what is learned: answers, or which of two is preferred")
    beta: float = Field(0.1, gt=0, le=10, description="dpo: how far the model may go from the base")
    parallel: Literal["single", "ddp", "fsdp2"] = Field("single", description="how ranks divide the work")
    nodes: int = Field(1, ge=1, le=64, description="pods of one job")
    gpus_per_node: int = Field(1, ge=0, le=16, description="ranks of one pod, one GPU each; 0: one rank on the CPU")
    gpu_memory_fraction: float | None = Field(
        None, gt=0, le=1, description="most of the GPU's memory that the training may take; the rest is a server's"
    )
    attention: Attention = Field("sdpa", description="attention kernel; flash needs Ampere or newer")
    activation_checkpointing: bool = Field(
        default=False, description="compute activations again in the backward pass: less memory, more time"
    )
    compile: bool = Field(default=False, description="torch.compile: minutes at the start, faster steps after it")
    rank: int = Field(16, ge=1, le=256, description="rank of the LoRA matrices")
    alpha: int = Field(32, ge=1, le=1024, description="LoRA scale; updates are multiplied by alpha / rank")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout on the LoRA input")
    rslora: bool = Field(default=False, description="scale by alpha / sqrt(rank) instead")
    dora: bool = Field(default=False, description="learn the length of each weight beside its direction")
    targets: tuple[str, ...] = Field(("all-linear",), min_length=1, description="modules that get an adapter")
    epochs: int = Field(1, ge=1, description="passes over the training rows")
    max_steps: int | None = Field(None, ge=1, description="upper bound of optimizer steps")
    width: int = Field(512, ge=16, description="tokens of a packed row")
    packing: bool = Field(default=True, description="several documents to a row; false: one, padded to the longest")
    batch_rows: int = Field(4, ge=1, description="rows of one optimizer step, over all ranks")
    micro_rows: int = Field(1, ge=1, description="rows that go through the model of one rank at a time")
    optimizer: Literal["adamw", "adamw-8bit", "paged-adamw-8bit"] = Field(
        "adamw", description="8-bit states take a quarter of the memory; paged ones may move to main memory"
    )
    learning_rate: float = Field(2e-4, gt=0, le=1, description="peak learning rate")
    schedule: Literal["cosine", "linear", "constant"] = Field("cosine", description="learning rate after the warm-up")
    warmup_steps: int = Field(10, ge=0, description="steps of linear warm-up before the schedule")
    weight_decay: float = Field(0.0, ge=0, description="AdamW weight decay")
    max_grad_norm: float = Field(1.0, gt=0, description="gradients are clipped to this norm")
    precision: Precision = Field("fp32", description="of the base model and the arithmetic; what is trained stays fp32")
    checkpoint_steps: int = Field(20, ge=1, description="optimizer steps between two checkpoints")
    keep_checkpoints: int = Field(2, ge=1, description="complete checkpoints that are kept, beside the best one")
    evaluate_steps: int | None = Field(
        None, ge=1, description="optimizer steps between two measurements of the held-out loss; absent: none on the way"
    )
    patience: int | None = Field(
        None, ge=1, description="measurements without a better held-out loss that end the training with the best one"
    )
    stuck_seconds: int = Field(1800, ge=30, description="a step that takes longer is taken for stuck and ended")

    @model_validator(mode="after")
    def _parts_fit(self) -> "Recipe":
        for is_impossible, text in self._impossible():
            if is_impossible:
                raise ValueError(text)
        return self

    def _impossible(self) -> tuple[tuple[bool, str], ...]:
        """Pairs that cannot work, each with the remedy."""
        cpu, eight_bit = self.gpus_per_node == 0, self.optimizer != "adamw"
        rows = self.ranks * self.micro_rows
        return (
            (
                self.method == "qlora" and self.parallel == "fsdp2",
                "qlora with fsdp2 trains nothing or NaN (bitsandbytes loses its state); use qlora with ddp",
            ),
            (
                self.method == "full" and self.parallel == "ddp",
                "full with ddp copies every weight to each rank; use full with fsdp2",
            ),
            (
                self.parallel == "single" and self.ranks > 1,
                f"parallel single and {self.ranks} ranks do not fit; use ddp or fsdp2",
            ),
            (
                self.parallel != "single" and self.ranks == 1 and not cpu,
                f"parallel {self.parallel} and one rank do not fit; use single, or more gpusPerNode",
            ),
            (
                self.method == "full" and (self.rslora or self.dora),
                "rslora and dora are forms of LoRA and method is full; use method lora, or leave them out",
            ),
            (self.dora and self.parallel == "fsdp2", "dora needs whole weights and fsdp2 cuts them; use ddp"),
            (
                eight_bit and self.parallel == "fsdp2",
                f"optimizer {self.optimizer} cannot hold the cut states of fsdp2; use adamw",
            ),
            (
                self.objective == "dpo" and self.method == "full",
                "dpo with full needs the untrained weights a second time; use method lora",
            ),
            (
                self.attention == "flash" and (cpu or self.precision == "fp32"),
                "attention flash runs on GPUs in bf16 or fp16 alone; use sdpa, or another precision",
            ),
            (
                self.patience is not None and self.evaluate_steps is None,
                "patience counts measurements and evaluateSteps asks for none; set evaluateSteps",
            ),
            (
                self.batch_rows % rows != 0,
                f"batchRows {self.batch_rows} is no multiple of ranks x microRows ({rows}); change one of them",
            ),
        )

    @property
    def ranks(self) -> int:
        """Processes of one job."""
        return self.nodes * max(self.gpus_per_node, 1)

    @property
    def gpus(self) -> int:
        """GPUs of one job."""
        return self.nodes * self.gpus_per_node

    def with_overrides(self, hyperparameters: Hyperparameters) -> "Recipe":
        """Raises ValueError when the changed recipe is impossible."""
        changed = hyperparameters.model_dump(exclude_none=True)
        if multiplier := changed.pop("learning_rate_multiplier", None):
            changed["learning_rate"] = self.learning_rate * multiplier
        return Recipe.model_validate({**self.model_dump(), **changed})
