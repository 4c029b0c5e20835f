"""What both models are put before, and what each makes of it.

It is put together before a model is loaded, so that a wrong file or pattern is found first.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainer.contract.checks import Checks
from trainer.contract.job import TrainingJob
from trainer.contract.recipe import Recipe
from trainer.data.dataset import Dataset
from trainer.data.masks import ChatTokenizer
from trainer.data.packing import PackedRow, pack, rows_of
from trainer.data.rows import Turn
from trainer.evaluation import safety, tasks
from trainer.evaluation.generation import Prompt, answers, batches_of, prompts_of
from trainer.evaluation.intervals import Sums
from trainer.evaluation.losses import document_losses, measured, preference_losses
from trainer.evaluation.pace import Pace
from trainer.evaluation.partial import Partial
from trainer.evaluation.sources import Sources
from trainer.model.tuned import Tuned

_SAFETY_TOKENS = 64  # a refusal stands at the beginning of an answer


@dataclass(frozen=True)
class Findings:
    """Of one model. losses, regression: [units, 2], see losses.py. refused: of the prompts that should be."""

    losses: Sums
    regression: Sums | None
    answers: tuple[str, ...]
    refused: int | None
    tasks: tasks.Figures


@dataclass(frozen=True)
class Examination:
    """rows: packed, held out. regression: packed rows of general ability. dangerous: prompts to refuse, as tokens."""

    checks: Checks
    recipe: Recipe
    seed: int
    tokenizer: ChatTokenizer
    rows: Sequence[PackedRow]
    regression: Sequence[PackedRow]
    prompts: Sequence[Prompt]
    dangerous: Sequence[Sequence[int]]
    base: Path
    task_folder: Path | None
    work: Path

    @classmethod
    def of(cls, job: TrainingJob, recipe: Recipe, dataset: Dataset, *, base: Path, work: Path) -> "Examination":
        """Raises BadInput."""
        checks, tokenizer = job.checks, ChatTokenizer(base)
        sources = Sources.of(checks, tokenizer, width=recipe.width, work=work)
        chosen = dataset.evaluation[::2] if recipe.objective == "dpo" else dataset.evaluation
        return cls(
            checks=checks,
            recipe=recipe,
            seed=job.seed,
            tokenizer=tokenizer,
            rows=rows_of(dataset.evaluation, recipe),
            regression=pack(sources.regression, recipe.width) if sources.regression else (),
            prompts=prompts_of(chosen, number=checks.generations, seed=job.seed),
            dangerous=[tokenizer.prompt([Turn("user", prompt)]) for prompt in sources.dangerous],
            base=base,
            task_folder=sources.tasks,
            work=work,
        )

    def forwards(self, world: int) -> int:
        """Of one model and one rank; each batch of answers is one."""
        rounds = sum(-(-len(rows) // world) for rows in (self.rows, self.regression))
        batches = sum(len(batches_of(prompts)) for prompts in ([p.ids for p in self.prompts], self.dangerous))
        return rounds + batches

    def found(self, model: Tuned, side: str, *, kept: Partial, pace: Pace) -> Findings:
        """What a model makes of it; parts that are kept from an earlier start are not measured again.

        side: `before` or `after`. Raises Killed.
        """

        def once(part: str, measure: Callable[[], Any]) -> Any:
            return kept.once(f"{part} {side}", measure)

        of_row = preference_losses(self.recipe.beta) if self.recipe.objective == "dpo" else document_losses
        plain = self.recipe.model_copy(update={"objective": "supervised"})
        losses = once("losses", lambda: measured(model, self.rows, of_row, recipe=self.recipe, pace=pace).tolist())
        regression = once(
            "regression", lambda: measured(model, self.regression, document_losses, recipe=plain, pace=pace).tolist()
        )
        answered = once("answers", lambda: self._answers(model, [prompt.ids for prompt in self.prompts], pace))
        refused = once("safety", lambda: self._refused(model, pace))
        figures = once("tasks", lambda: self._tasks(model, pace))
        return Findings(
            losses=np.array(losses),
            regression=np.array(regression) if self.regression else None,
            answers=tuple(answered),
            refused=refused if self.dangerous else None,
            tasks=figures,
        )

    @property
    def references(self) -> list[str]:
        return [self.tokenizer.decode(prompt.reference) for prompt in self.prompts]

    def _answers(self, model: Tuned, prompts: Sequence[Sequence[int]], pace: Pace, *, most: int = 0) -> list[str]:
        most = most or self.checks.generated_tokens
        found = answers(model, prompts, most=most, ends=self.tokenizer.ends, precision=self.recipe.precision, pace=pace)
        return [self.tokenizer.decode(ids) for ids in found]

    def _refused(self, model: Tuned, pace: Pace) -> int:
        found = self._answers(model, self.dangerous, pace, most=_SAFETY_TOKENS)
        return sum(safety.is_refusal(answer) for answer in found)

    def _tasks(self, model: Tuned, pace: Pace) -> tasks.Figures:
        if self.task_folder is None:
            return {}
        return tasks.measured(model, self.base, self.task_folder, work=self.work, seed=self.seed, pace=pace)


def decisive(checks: Checks) -> Mapping[str, Any]:
    """What of the choices decides the figures of the models."""
    return checks.model_dump(mode="json", exclude={"judge", "answer"})
