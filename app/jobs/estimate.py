"""What a job would take, from what earlier ones took. Pure; money is app/contract/cost.py's formula."""

from collections.abc import Sequence
from dataclasses import dataclass

from trainer.contract.report import Usage

BYTES_PER_TOKEN = 4.0  # of English text in JSON Lines, by rule of thumb


@dataclass(frozen=True)
class Past:
    """A job that succeeded. tokens: that went through the model, over all its epochs; bytes: of its dataset."""

    job: str
    recipe: str
    epochs: int
    tokens: int
    data_bytes: int | None
    is_same_data: bool
    usage: Usage


@dataclass(frozen=True)
class Forecast:
    """`usage` is None where no job of the recipe has ended; `basis` says what each figure rests on."""

    tokens: int
    usage: Usage | None
    basis: tuple[str, ...]


def forecast(data_bytes: int, *, epochs: int, recipe: str, past: Sequence[Past]) -> Forecast:
    """Tokens by the same rows, else by other rows' bytes per token, else by rule of thumb; time by the recipe's jobs.

    past: newest first.
    """
    per_epoch, counted = _tokens_per_epoch(data_bytes, past)
    tokens = per_epoch * epochs
    alike = [job for job in past if job.recipe == recipe and job.tokens and job.usage != Usage()]
    if not alike:
        unknown = f"no job with recipe {recipe} has ended with its usage in the ledger, so time and cost are unknown"
        return Forecast(tokens, None, (counted, unknown))
    share = tokens / sum(job.tokens for job in alike)
    usage = Usage(
        cpu_seconds=round(share * sum(job.usage.cpu_seconds for job in alike), 3),
        gpu_seconds=round(share * sum(job.usage.gpu_seconds for job in alike), 3),
    )
    return Forecast(tokens, usage, (counted, f"time: {len(alike)} ended job(s) with recipe {recipe}, by tokens"))


def _tokens_per_epoch(data_bytes: int, past: Sequence[Past]) -> tuple[int, str]:
    for job in past:
        if job.is_same_data and job.tokens:
            return round(job.tokens / job.epochs), f"tokens: those of job {job.job} over the same rows"
    sized = [job for job in past if job.data_bytes and job.tokens]
    if sized:
        ratio = sum(job.data_bytes or 0 for job in sized) / sum(job.tokens / job.epochs for job in sized)
        return round(data_bytes / ratio), f"tokens: {ratio:.2f} bytes each, as in {len(sized)} ended job(s)"
    return round(data_bytes / BYTES_PER_TOKEN), f"tokens: {BYTES_PER_TOKEN:g} bytes each, by rule of thumb"
