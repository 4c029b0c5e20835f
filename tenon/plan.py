"""`tenon train SPEC --plan`: what a training will be, from its files alone; nothing is loaded, nothing written."""

import argparse
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING

from tenon.output import CommandError, answer_json, answer_table
from trainer.contract.bucket import PREPARED
from trainer.contract.job import TrainingJob

if TYPE_CHECKING:
    from trainer.plan import Amount


def price(text: str) -> Decimal:
    """Money of the command line. Raises argparse.ArgumentTypeError."""
    try:
        found = Decimal(text)
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite() or found < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no amount of money; write a number such as 2.40")
    return found


def show(
    job: TrainingJob, *, out: Path | None, ranks: int | None, price: Decimal | None = None, as_json: bool = False
) -> int:
    """Answer with the plan.

    out: folder of the training, whose prepared data is counted where it is there. ranks: the recipe's when absent.
    price: per GPU and hour. Raises CommandError when the job cannot be trained as it stands.
    """
    from trainer.announcement import document, rows_of_table
    from trainer.outcomes import BadInput, Unavailable
    from trainer.plan import forecast

    try:
        made = forecast(job, _prepared(job, out) if out else None, ranks=ranks)
    except (BadInput, Unavailable) as error:
        raise CommandError(str(error)) from None
    if as_json:
        answer_json(document(made, price=price))
    else:
        answer_table("plan of the training", ("what", "how much"), rows_of_table(made, price=price))
    return 0


def _prepared(job: TrainingJob, out: Path) -> "Amount | None":
    from trainer.data.dataset import Dataset
    from trainer.plan import Amount
    from trainer.publishing.manifest import Incomplete
    from trainer.recipes import recipe_of

    try:
        dataset = Dataset.load(out / PREPARED)
    except Incomplete:
        return None
    return Amount.of_documents(dataset.training, recipe_of(job))
