"""The plan of a training as a table for people and as JSON for machines."""

import sys
from collections.abc import Iterator
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from trainer.model.gpus import GPUS
from trainer.model.memory import trained_parameters
from trainer.plan import Forecast

_WIDTH = 100


def document(made: Forecast, *, price: Decimal | None = None) -> dict[str, Any]:
    """The forecast as JSON. price: of one GPU (or, without, of the machine) per hour."""
    recipe, parts = made.recipe, made.memory
    found: dict[str, Any] = {
        "method": recipe.method,
        "objective": recipe.objective,
        "ranks": made.ranks,
        "globalBatchRows": recipe.batch_rows,
        "globalBatchTokens": recipe.batch_rows * recipe.width,
        "microRows": recipe.micro_rows,
        "microSteps": made.micro_steps,
        "steps": made.steps,
        "tokens": made.tokens,
        "isAmountEstimated": made.amount.is_estimated,
    }
    if made.shape is not None and parts is not None:
        found["totalParameters"] = made.shape.parameters
        found["trainableParameters"] = trained_parameters(made.shape, recipe)
        found["memoryBytes"] = {**asdict(parts), "total": parts.total}
        times = dict(made.on_gpus()) if recipe.gpus else {"cpu": made.on_this_cpu()}
        found["seconds"] = {name: round(seconds, 1) for name, seconds in times.items()}
        if price is not None:
            found["cost"] = {name: str(_cost(made, seconds, price)) for name, seconds in times.items()}
    return found


def _cost(made: Forecast, seconds: float, price: Decimal) -> Decimal:
    return (price * max(made.recipe.gpus, 1) * Decimal(seconds) / 3600).quantize(Decimal("0.01"))


def rows_of_table(made: Forecast, *, price: Decimal | None = None) -> list[tuple[str, str]]:
    """The forecast for people: what, and how much."""
    recipe, parts = made.recipe, made.memory
    source = ", estimated from the file's size" if made.amount.is_estimated else ""
    batch = f"{recipe.batch_rows:,} rows = {made.ranks} ranks x {recipe.micro_rows} x {made.micro_steps} micro-steps"
    shown = [
        ("method", f"{recipe.method}, {recipe.objective}, {recipe.precision}, {recipe.attention}, {recipe.parallel}"),
        ("global batch", f"{batch}, at most {recipe.batch_rows * recipe.width:,} tokens"),
        ("steps", f"{made.steps:,} ({recipe.epochs} x {made.amount.rows:,} rows{source})"),
        ("tokens", f"{made.tokens:,}"),
    ]
    if made.shape is None or parts is None:
        return [*shown, ("memory, time", "not estimated: the base model is not of the Llama form")]
    trained, total = trained_parameters(made.shape, recipe), made.shape.parameters
    shown.append(("trained", f"{trained:,} weights; the base has {total:,} ({100 * trained / total:.2f} %)"))
    named = [f"{name} {size / 2**30:.1f}" for name, size in asdict(parts).items() if size >= 2**30 / 20]
    shown.append(("memory", f"{parts.total / 2**30:.1f} GiB per rank, estimated: {', '.join(named)}"))
    shown.extend(_times(made, price))
    return shown


def _times(made: Forecast, price: Decimal | None) -> Iterator[tuple[str, str]]:
    times = dict(made.on_gpus()) if made.recipe.gpus else {"this CPU": made.on_this_cpu()}
    if not times:
        yield "time", "fits none of " + ", ".join(GPUS) + "; use qlora, activationCheckpointing or fewer microRows"
    for name, seconds in times.items():
        money = f", cost {_cost(made, seconds, price)}" if price is not None else ""
        yield f"on {made.recipe.gpus or ''} {name}".replace("  ", " "), f"about {_shown(seconds)}{money}"


def _shown(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} seconds"


def announce(made: Forecast) -> None:
    """The plan on stderr, before anything of the model is loaded."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in rows_of_table(made):
        table.add_row(Text(name), Text(text))
    console = Console(stderr=True, width=_WIDTH, no_color=True)
    with console.capture() as captured:
        console.print(table)
    sys.stderr.write(captured.get())  # through whatever keeps a progress bar below it
