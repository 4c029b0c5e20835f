"""What a training will be, before anything is loaded: batch, steps, tokens, memory, time and cost. Imports no torch.

Memory, time and cost are estimates; how they are made is said beside them.
"""

import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer import storage
from trainer.contract.checks import SHIPPED
from trainer.contract.job import TrainingJob
from trainer.contract.recipe import Recipe
from trainer.data.masks import Document
from trainer.data.packing import rows_of
from trainer.model.gpus import GPUS
from trainer.model.hardware import refuse_nowhere
from trainer.model.memory import Memory, memory, trained_parameters
from trainer.model.shape import CONFIG, Shape, context_of, refuse_unusable, refuse_wide_rows
from trainer.outcomes import BadInput
from trainer.recipes import recipe_of
from trainer.schedule import steps_of

_BYTES_PER_TOKEN = 4  # of a data file: English text with the names of its fields
_REACHED = 0.35  # share of a GPU's peak that packed training reaches
_QUANTISED = 1.15  # unpacking four bits takes that much longer
_CPU_FLOPS = {"fp32": 0.8e11, "bf16": 1.1e11, "fp16": 0.3e11}  # of one core with AMX; measured with SmolLM2


@dataclass(frozen=True)
class Amount:
    """Rows of the training part as they go through the model, and their tokens. is_estimated: from a file's size."""

    rows: int
    tokens: int
    is_estimated: bool = False

    @classmethod
    def of_documents(cls, documents: Sequence[Document], recipe: Recipe) -> "Amount":
        """Of prepared ones, as the recipe puts them into rows."""
        return cls(len(rows_of(documents, recipe)), sum(len(document) for document in documents))

    @classmethod
    def of_file(cls, size: int, recipe: Recipe) -> "Amount":
        tokens = max(size // _BYTES_PER_TOKEN, 1)
        return cls(math.ceil(tokens / recipe.width), tokens, is_estimated=True)


@dataclass(frozen=True)
class Forecast:
    """A training that is to be. shape: None for a base model of a form that is not known beforehand."""

    recipe: Recipe
    shape: Shape | None
    amount: Amount
    ranks: int

    @property
    def micro_steps(self) -> int:
        """Forward and backward passes of one rank in one step."""
        return math.ceil(self.recipe.batch_rows / (self.ranks * self.recipe.micro_rows))

    @property
    def steps(self) -> int:
        return steps_of(self.recipe, self.amount.rows)

    @property
    def tokens(self) -> int:
        """Real tokens of all steps."""
        rows = min(self.steps * self.recipe.batch_rows, self.recipe.epochs * self.amount.rows)
        return round(self.amount.tokens * rows / max(self.amount.rows, 1))

    @property
    def memory(self) -> Memory | None:
        return memory(self.shape, self.recipe, ranks=self.ranks) if self.shape else None

    @property
    def flop_per_token(self) -> float:
        """2 N forward and 2 N backward through frozen weights.

        2 N more for gradients of all weights, for activations computed again, for the reference of DPO. N: weights
        that are multiplied with; an embedding table is looked up.
        """
        if self.shape is None:
            return 0.0
        weights = self.shape.matrix_parameters + self.shape.vocabulary * self.shape.hidden
        passes = 2 + (self.recipe.method == "full") + self.recipe.activation_checkpointing
        passes += self.recipe.objective == "dpo"
        return 2.0 * weights * passes * (_QUANTISED if self.recipe.method == "qlora" else 1)

    def seconds(self, flops: float) -> float:
        """flops: what one rank reaches per second."""
        return self.tokens * self.flop_per_token / (flops * self.ranks)

    def on_gpus(self) -> Iterator[tuple[str, float]]:
        """GPUs that the training fits, and its seconds on as many of them as the recipe has."""
        if self.memory is None:
            return
        share = self.recipe.gpu_memory_fraction or 1.0
        for name, gpu in GPUS.items():
            peak = gpu.single if self.recipe.precision == "fp32" else gpu.half
            if self.memory.total <= gpu.memory * share * 2**30 and (gpu.has_bf16 or self.recipe.precision != "bf16"):
                yield name, self.seconds(peak * _REACHED)

    def on_this_cpu(self) -> float:
        """Seconds on the cores that this process may use."""
        return self.seconds(_CPU_FLOPS[self.recipe.precision] * len(os.sched_getaffinity(0)) / self.ranks)


def forecast(job: TrainingJob, amount: Amount | None = None, *, ranks: int | None = None) -> Forecast:
    """Of a job, from its recipe, the base model's config.json and the amount of data.

    amount: from the size of the data file when absent. ranks: the recipe's when absent. Raises BadInput when
    one of them is not there or they do not fit.
    """
    recipe = recipe_of(job)
    content = storage.read(f"{job.base}/{CONFIG}")
    if content is None:
        raise BadInput(f"base: {job.base} has no {CONFIG}; name the folder of a base model")
    try:
        config: Any = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"base: {job.base}/{CONFIG} is no JSON ({error}); name the folder of a base model") from error
    config = config if isinstance(config, dict) else {}
    refuse_unusable(config, job.base)
    refuse_wide_rows(recipe.width, context_of(config))
    refuse_nowhere(recipe)
    if amount is None:
        _refuse_absent(job)
    shape = Shape.of(config)
    made = Forecast(recipe, shape, amount or Amount.of_file(_size(job.data), recipe), ranks or recipe.ranks)
    if shape is not None:
        trained_parameters(shape, recipe)  # the targets are there
    return made


def _size(url: str) -> int:
    _refuse_no_file("data", url)
    return storage.stored_bytes(url) if storage.is_remote(url) else Path(url).stat().st_size


def _refuse_absent(job: TrainingJob) -> None:
    """Raise BadInput for a local file that a later step reads and that is not there."""
    files = {"evaluation": job.evaluation, "checks.regression": job.checks.regression}
    if job.checks.safety != SHIPPED:
        files["checks.safety"] = job.checks.safety
    files |= {f"filters.decontaminate[{number}]": url for number, url in enumerate(job.filters.decontaminate)}
    for name, url in files.items():
        if url is not None:
            _refuse_no_file(name, url)
    tasks = job.checks.tasks
    if tasks is not None and not storage.is_remote(tasks) and not Path(tasks).is_dir():
        raise BadInput(f"checks.tasks: {tasks} is not there; name a folder of lm-eval tasks")


def _refuse_no_file(name: str, url: str) -> None:
    if not storage.is_remote(url) and not Path(url).is_file():
        raise BadInput(f"{name}: {url} is not there; name a file of rows")
