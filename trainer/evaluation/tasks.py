"""lm-eval tasks from a folder: one `*.yaml` a task, and the data files it names. The only module that imports lm_eval.

Nothing is fetched from a hub, and `!function` is refused, so a task has lm-eval's own metrics alone. Its templates are
the tenant's, rendered by lm-eval in the tenant's pod.
"""

import importlib.util
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from trainer import storage
from trainer.contract.report import Interval, Score
from trainer.evaluation.intervals import RESAMPLES, Z
from trainer.outcomes import BadInput
from trainer.publishing.manifest import Incomplete

if TYPE_CHECKING:
    from trainer.evaluation.pace import Pace
    from trainer.model.tuned import Tuned

_LOCAL = ("json", "csv", "parquet", "text")  # what `datasets` reads from files
Figures = Mapping[str, Sequence[float]]  # "task/metric" -> value, standard error, rows

# Read when datasets is first imported: it must ask no hub.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")


def fetched(source: str, work: Path) -> Path:
    """A local folder of tasks; in a bucket it is a sealed one. Raises BadInput when it is none."""
    try:
        folder = storage.fetch_folder(source, work / "tasks") if storage.is_remote(source) else Path(source)
    except Incomplete as error:
        raise BadInput(f"checks.tasks: {error}; upload it with its MANIFEST.json") from error
    configurations(folder, work)
    return folder


def configurations(folder: Path, work: Path) -> list[dict[str, Any]]:
    """Each task file as lm-eval takes it, its data files by whole path. Raises BadInput, naming file and key.

    work: where the data is copied to by the library that reads it.
    """
    found = [_configuration(path, work) for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])]
    if not found:
        raise BadInput(f"checks.tasks: {folder} holds no task file (*.yaml); name a folder of lm-eval tasks")
    return found


def _configuration(path: Path, work: Path) -> dict[str, Any]:
    where = f"checks.tasks: {path.name}"
    try:
        task = yaml.safe_load(path.read_text(encoding="utf-8"))  # knows no `!function`
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise BadInput(f"{where}: is no plain YAML ({reason}); `!function` is not run") from error
    if not isinstance(task, dict) or not isinstance(task.get("task"), str):
        raise BadInput(f"{where}: has no `task` with a name; write one task a file")
    if (kind := task.get("dataset_path")) not in _LOCAL:
        raise BadInput(f"{where}: dataset_path {kind!r} is not read from a file; use one of {', '.join(_LOCAL)}")
    given = task.get("dataset_kwargs")
    given = given if isinstance(given, dict) else {}
    named = given.get("data_files")
    if not isinstance(named, dict) or not named:
        raise BadInput(f"{where}: names no data file; write `dataset_kwargs: {{data_files: {{test: rows.jsonl}}}}`")
    files = {split: str(_data_file(path.parent, name, where)) for split, name in named.items()}
    return {**task, "dataset_kwargs": {**given, "data_files": files, "cache_dir": str(work / "datasets")}}


def _data_file(folder: Path, name: object, where: str) -> Path:
    path = (folder / str(name)).resolve()
    if not path.is_file() or not path.is_relative_to(folder.resolve()):
        raise BadInput(f"{where}: data file {name!r} is not in its folder; put it beside the task")
    return path


def refuse_absent() -> None:
    """Raise BadInput where lm-eval is not installed."""
    try:
        is_there = importlib.util.find_spec("lm_eval") is not None
    except ValueError:  # what Python says of a module that was barred
        is_there = False
    if not is_there:
        raise BadInput("checks.tasks: lm-eval is not installed; install the extra `tasks`, or leave them out")


def measured(model: "Tuned", base: Path, folder: Path, *, work: Path, seed: int, pace: "Pace") -> Figures:
    """Every metric of every task. base: folder of the tokenizer. Raises BadInput when lm-eval refuses a task."""
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from transformers import AutoTokenizer

    class Paced(HFLM):  # type: ignore[misc]
        """Asks at each forward whether to stop."""

        def _model_call(self, *arguments: Any, **options: Any) -> Any:
            pace.step(0)
            return super()._model_call(*arguments, **options)

        def _model_generate(self, *arguments: Any, **options: Any) -> Any:
            pace.step(0)
            return super()._model_generate(*arguments, **options)

    model.training(mode=False)
    tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True, trust_remote_code=False)
    try:
        found: Any = lm_eval.simple_evaluate(
            model=Paced(pretrained=model.causal, tokenizer=tokenizer, batch_size=8),
            tasks=configurations(folder, work),
            log_samples=False,
            bootstrap_iters=RESAMPLES,
            random_seed=seed,
            numpy_random_seed=seed,
            torch_random_seed=seed,
            fewshot_random_seed=seed,
        )
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError, OSError) as error:
        raise BadInput(f"checks.tasks: lm-eval refuses them ({error}); mend the task files") from error
    return dict(_figures(found))


def compared(before: Figures, after: Figures) -> dict[str, Score]:
    """Of both models, by `task/metric`. Intervals are 1.96 standard errors, as lm-eval gives them."""
    return {
        name: Score(before=_interval(before[name]), after=_interval(after[name]), rows=int(after[name][2]))
        for name in sorted(before.keys() & after.keys())
    }


def _figures(found: Mapping[str, Any]) -> Iterator[tuple[str, tuple[float, float, int]]]:
    for task, metrics in found["results"].items():
        rows = int(found.get("n-samples", {}).get(task, {}).get("effective", 0))
        for key, value in metrics.items():
            metric, _, form = key.partition(",")
            if form and isinstance(value, int | float) and not metric.endswith("_stderr"):
                error = metrics.get(f"{metric}_stderr,{form}")
                name = f"{task}/{metric}" if form == "none" else f"{task}/{metric}/{form}"
                yield name, (float(value), float(error) if isinstance(error, int | float) else 0.0, rows)


def _interval(figure: Sequence[float]) -> Interval:
    value, error = figure[0], figure[1]
    return Interval(value=value, low=value - Z * error, high=value + Z * error)
