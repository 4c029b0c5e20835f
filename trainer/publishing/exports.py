"""Other forms of a version, for servers that take no adapter: merged weights, GGUF. Imports torch.

A merge is checked before it is published: over a few held-out rows its logits must be those of base and adapter.
Adapter and base are compared in fp32 and in main memory: four bytes for each weight of the base.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch

from trainer.attempt import AttemptFolder
from trainer.contract.bucket import PREPARED
from trainer.contract.recipe import Recipe
from trainer.data.dataset import Dataset
from trainer.merge import merge
from trainer.model import base
from trainer.model.adapter import Adapted
from trainer.outcomes import BadInput
from trainer.publishing.gguf_export import write_gguf
from trainer.publishing.manifest import Incomplete
from trainer.searching.outcome import recipe_trained
from trainer.settings import Settings

MERGED, GGUF = "merged", "gguf"
ROWS, TOKENS = 4, 256  # held-out rows of a check, and tokens of each
# The merge is rounded to the base's precision; what that may change, as root mean square over that of the logits.
TOLERANCES = {"float32": 1e-4, "float16": 5e-3, "bfloat16": 3e-2}


def export(
    settings: Settings, attempt: AttemptFolder, adapter: Path, *, to: Path, licence: str | None
) -> dict[str, Any]:
    """Write the forms below the folder `to`; what the manifest says of each. Raises BadInput for one that cannot be.

    licence: of the base model.
    """
    job, recipe = settings.job, recipe_trained(settings.job, attempt)
    if recipe.method == "full" and MERGED in job.exports:
        raise BadInput("exports: method full has nothing to merge, its weights are whole; leave `merged` out")
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=_made(settings.work)) as scratch:
        whole = adapter
        if recipe.method != "full":
            source = base.fetch(job, settings.work)
            whole = merge(source, adapter, Path(scratch) / MERGED)
            found[MERGED] = checked(source, adapter, whole, recipe=recipe, rows=_held_out(attempt))
        if GGUF in job.exports:
            name = f"{job.version}.gguf"
            found[GGUF] = write_gguf(whole, _made(to / GGUF) / name, name=job.version, licence=licence)
        if MERGED in job.exports:
            shutil.copytree(whole, to / MERGED)
        else:
            found.pop(MERGED, None)
    return found


def checked(source: Path, adapter: Path, merged: Path, *, recipe: Recipe, rows: list[list[int]]) -> dict[str, Any]:
    """How far the merged model's logits are from those of base and adapter. Raises BadInput when too far."""
    tuned = Adapted(_loaded(source), recipe, seed=0)
    tuned.load(adapter)
    tuned.training(mode=False)
    wanted = [_logits(tuned.causal, row) for row in rows]
    del tuned
    made = _loaded(merged)
    got = [_logits(made, row) for row in rows]
    difference = max(_distance(one, other) for one, other in zip(got, wanted, strict=True))
    tolerance = TOLERANCES[_precision(merged)]
    if not difference <= tolerance:
        raise BadInput(
            f"exports: merged weights change the logits by {difference:.2g} of their size, more than {tolerance:g};"
            " serve the adapter with its base, or use a base in a higher precision"
        )
    return {"logitDifference": round(difference, 7), "tolerance": tolerance, "rows": len(rows)}


def _held_out(attempt: AttemptFolder) -> list[list[int]]:
    try:
        dataset = Dataset.load(attempt.pull_folder(PREPARED))
    except Incomplete as error:
        raise BadInput(f"prepared data: {error}; run the step prepare again") from error
    documents = [dataset.evaluation[index] for index in range(min(ROWS, len(dataset.evaluation)))]
    return [[int(token) for token in document.ids[:TOKENS]] for document in documents]


def _loaded(folder: Path) -> torch.nn.Module:
    return base.load(folder, precision="fp32", device=torch.device("cpu"))


@torch.no_grad()
def _logits(model: Any, row: list[int]) -> torch.Tensor:
    logits: torch.Tensor = model(torch.tensor([row])).logits[0].float()
    return logits - logits.mean(-1, keepdim=True)  # what all logits of a token have in common changes no probability


def _distance(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).pow(2).mean().sqrt() / other.pow(2).mean().sqrt())


def _precision(folder: Path) -> str:
    """Of the stored weights, the coarsest."""
    from safetensors import safe_open

    found = set()
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            found |= {str(file.get_tensor(name).dtype).removeprefix("torch.") for name in file.keys()}  # noqa: SIM118
    return max(found, key=lambda name: TOLERANCES.get(name, 0.0))


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
