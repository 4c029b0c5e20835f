"""`drift`: a served version again, over the held-out rows of the job that made it.

It leaves `jobs/<job>/drift/<n>/report.json` (contract/report.py, Drift), numbered from 1, because an older one says how
the version did then. Rows and adapter are those of the time, so a change is the base's, the libraries' or the
machine's; new rows are another job's evaluation.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import ValidationError

from trainer import storage
from trainer.contract import bucket
from trainer.contract.recipe import Recipe
from trainer.contract.report import Drift, Report
from trainer.contract.version import ServedVersion
from trainer.data.dataset import Dataset
from trainer.data.packing import rows_of
from trainer.durability.interruption import watched
from trainer.durability.ranks import joined
from trainer.evaluate import as_measured, made
from trainer.evaluation.intervals import Sums, bootstrap, perplexity
from trainer.evaluation.losses import document_losses, measured, preference_losses
from trainer.evaluation.pace import Pace
from trainer.model import base
from trainer.outcomes import BadInput
from trainer.publishing import manifest
from trainer.settings import Settings
from trainer.sinks import Sink

# Of a version, all that is measured; merged weights and the like may be large.
_ADAPTER = tuple(
    f"{bucket.ADAPTER}/{name}"
    for name in ("adapter_model.safetensors", "adapter_config.json", "model.safetensors", "config.json")
)
_NOT_OF_THE_RECIPE = {"name", "seed"}


def run(settings: Settings, sink: Sink) -> None:
    """Leave the report. Raises BadInput when the version is not what Git says, Killed after a signal."""
    torch.use_deterministic_algorithms(mode=True, warn_only=torch.cuda.is_available())
    version = settings.version
    if version is None:
        raise BadInput("drift: is of a served version; run it with TENON_VERSION")
    sink.begin("drift")
    with joined(os.environ) as ranks, watched() as interruption:
        with ranks.in_turn():
            served = _Served.fetched(version, settings)
            folder = base.fetch(settings.job, settings.work)
        recipe = served.recipe
        rows = rows_of(served.dataset.evaluation, recipe)
        model = made(folder, recipe, seed=0, ranks=ranks)
        model.load(served.adapter)
        of_row = preference_losses(recipe.beta) if recipe.objective == "dpo" else document_losses
        pace = Pace(sink, interruption, ranks, total=-(-len(rows) // ranks.world))
        losses = measured(model, rows, of_row, recipe=recipe, pace=pace)
        if ranks.is_first:
            found = served.drift(version, losses)
            number = 1 + max((int(name) for name in storage.folders(settings.attempt_url) if name.isdigit()), default=0)
            document = manifest.to_json(found.model_dump(mode="json", by_alias=True))
            storage.write(f"{settings.attempt_url}/{number}/{bucket.REPORT}", document.encode())
            sink.finish({"version": found.version, "lossThen": found.loss_then, "lossNow": found.loss.value})


@dataclass(frozen=True)
class _Served:
    """What is known of a version beside Git: its job's prepared rows and report, and how it was tuned."""

    adapter: Path
    dataset: Dataset
    report: Report
    recipe: Recipe

    @classmethod
    def fetched(cls, version: ServedVersion, settings: Settings) -> "_Served":
        """Raises BadInput when the bucket does not hold what Git says."""
        assert settings.version_url is not None  # noqa: S101 - settings of a drift evaluation have one
        try:
            folder = storage.fetch_folder(settings.version_url, settings.work / "version", only=_ADAPTER)
            facts = manifest.parse((folder / bucket.MANIFEST).read_bytes(), where=settings.version_url)
            manifest.check_file(_weights(folder), version.adapter_digest)
            attempt = f"{settings.attempt_url.removesuffix('/drift')}/{int(facts['attempt'])}"
            prepared = storage.fetch_folder(f"{attempt}/{bucket.PREPARED}", settings.work / "prepared")
            dataset = Dataset.load(prepared)
            recipe = {key: value for key, value in facts["recipe"].items() if key not in _NOT_OF_THE_RECIPE}
            report = Report.model_validate_json(storage.read(f"{attempt}/{bucket.REPORT}") or b"")
            return cls(folder / bucket.ADAPTER, dataset, report, as_measured(Recipe.model_validate(recipe)))
        except manifest.Incomplete as error:
            raise BadInput(f"version {version.version}: {error}; Git and the bucket differ") from error
        except (KeyError, TypeError, ValidationError) as error:
            reason = " ".join(str(error).split())
            raise BadInput(
                f"version {version.version}: its manifest or report is of another form ({reason})"
            ) from error

    def drift(self, version: ServedVersion, losses: Sums) -> Drift:
        """Raises BadInput when the job's report has no loss to compare with."""
        if self.report.loss_after is None:
            raise BadInput(f"version {version.version}: its job {version.job} was never evaluated; train it anew")
        loss = bootstrap(losses)
        return Drift(
            version=version.version,
            job=version.job,
            adapter_digest=version.adapter_digest,
            dataset_fingerprint=self.dataset.facts.fingerprint,
            evaluation_rows=len(losses),
            loss_then=self.report.loss_after,
            loss=loss,
            perplexity=None if self.recipe.objective == "dpo" else perplexity(loss),
        )


def _weights(folder: Path) -> Path:
    """The tuned weights of a version folder: an adapter's, or all of method `full`."""
    found = [path for name in _ADAPTER if (path := folder / name).suffix == ".safetensors" and path.is_file()]
    return found[0] if found else folder / _ADAPTER[0]
