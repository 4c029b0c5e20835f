"""The findings of both models as the report has them."""

from itertools import islice

from trainer.contract.report import Evaluation, Refusals, Sample, Score
from trainer.evaluation import tasks
from trainer.evaluation.examination import Examination, Findings
from trainer.evaluation.intervals import compared, perplexity
from trainer.evaluation.judge import Pair
from trainer.evaluation.scores import scores
from trainer.outcomes import BadInput

SAMPLES = 8  # of the answered rows that the report shows
LONGEST = 2000  # characters of a text that it shows


def evaluation(examination: Examination, before: Findings, after: Findings) -> Evaluation:
    """Raises BadInput when a loss is no number: such an adapter is of no use, however often it is measured."""
    loss = compared(before.losses, after.losses)
    for side, interval in (("base model", loss.before), ("tuned model", loss.after)):
        if not abs(interval.value) < float("inf"):
            raise BadInput(f"held-out loss of the {side}: is {interval.value}; look at the job's metrics, train anew")
    regression = None
    if before.regression is not None and after.regression is not None:
        regression = compared(before.regression, after.regression)
    refusals = None
    if before.refused is not None and after.refused is not None:
        refusals = Refusals(prompts=len(examination.dangerous), before=before.refused, after=after.refused)
    return Evaluation(
        loss=loss,
        perplexity=None if examination.recipe.objective == "dpo" else _perplexity(loss),
        scores=_scores(examination, before, after),
        regression=regression,
        safety=refusals,
        tasks=tasks.compared(before.tasks, after.tasks),
        samples=_samples(examination, before, after),
    )


def pairs(examination: Examination, before: Findings, after: Findings) -> list[Pair]:
    """What a judge compares."""
    prompts = [examination.tokenizer.decode(prompt.ids) for prompt in examination.prompts]
    return [Pair(*texts) for texts in zip(prompts, before.answers, after.answers, strict=True)]


def _scores(examination: Examination, before: Findings, after: Findings) -> dict[str, Score]:
    references = examination.references
    if not references:
        return {}
    return scores(references, before=before.answers, after=after.answers, answer=examination.checks.answer)


def _perplexity(loss: Score) -> Score:
    return Score(before=perplexity(loss.before), after=perplexity(loss.after), rows=loss.rows)


def _samples(examination: Examination, before: Findings, after: Findings) -> tuple[Sample, ...]:
    answered = zip(pairs(examination, before, after), examination.references, strict=True)
    return tuple(
        Sample(
            prompt=_shown(pair.prompt),
            reference=_shown(reference),
            before=_shown(pair.before),
            after=_shown(pair.after),
        )
        for pair, reference in islice(answered, SAMPLES)
    )


def _shown(text: str) -> str:
    return text if len(text) <= LONGEST else text[:LONGEST] + " [...]"
