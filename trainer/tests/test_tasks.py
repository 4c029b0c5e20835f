"""lm-eval tasks from a folder of one's own: run on both models, without a hub and without code of the folder."""

import json
import sys
from pathlib import Path

import pytest
import yaml

from trainer.contract.recipe import Recipe
from trainer.durability.interruption import Interruption
from trainer.durability.ranks import Ranks
from trainer.evaluation import tasks
from trainer.evaluation.pace import Pace
from trainer.model.making import tuned
from trainer.outcomes import BadInput, Killed
from trainer.sinks import Sinks
from trainer.tests.conftest import TOY_RECIPE

TASK = """
task: toy_choice
dataset_path: json
dataset_kwargs: {data_files: {test: rows.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: "{{answer}}"
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""
ROWS = [
    {"question": f"What does {noun} do?", "choices": [" carries", " hides"], "answer": 0}
    for noun in ("river", "engine", "garden")
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "tasks"
    made.mkdir()
    (made / "toy.yaml").write_text(TASK)
    (made / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return made


def _measured(folder: Path, base: Path, interruption: Interruption) -> tasks.Figures:
    model = tuned(base, Recipe.model_validate(yaml.safe_load(TOY_RECIPE)), seed=0)
    pace = Pace(Sinks(), interruption, Ranks(), total=1)
    return tasks.measured(model, base, folder, work=folder.parent / "work", seed=0, pace=pace)


@pytest.mark.model  # for its ten seconds of imports; it needs no model but the toy
@pytest.mark.filterwarnings("ignore")
def test_a_task_of_local_rows_is_measured_and_its_figures_have_intervals(folder: Path, base: Path) -> None:
    found = _measured(folder, base, Interruption())
    assert list(found) == ["toy_choice/acc"]
    score = tasks.compared(found, found)["toy_choice/acc"]
    assert score.rows == 3
    assert round(score.before.value * 3, 6) in {0, 1, 2, 3}
    assert score.before.low <= score.before.value <= score.before.high
    stopped = Interruption()
    stopped.request()
    with pytest.raises(Killed):
        _measured(folder, base, stopped)


def test_data_files_are_named_by_whole_path_and_copied_into_the_scratch_folder(folder: Path, tmp_path: Path) -> None:
    (found,) = tasks.configurations(folder, tmp_path)
    assert found["dataset_kwargs"] == {
        "data_files": {"test": str(folder / "rows.jsonl")},
        "cache_dir": str(tmp_path / "datasets"),
    }


BAD = {
    "code": ("task: t\nprocess_docs: !function own.code\n", "is no plain YAML"),
    "no YAML": ("{", "is no plain YAML"),
    "no name": ("dataset_path: json\n", "has no `task` with a name"),
    "a hub": ("task: t\ndataset_path: gsm8k\n", "dataset_path 'gsm8k' is not read from a file"),
    "no data": ("task: t\ndataset_path: json\n", "names no data file"),
    "absent data": (
        "task: t\ndataset_path: json\ndataset_kwargs: {data_files: {test: x}}\n",
        "'x' is not in its folder",
    ),
    "data outside": (
        "task: t\ndataset_path: json\ndataset_kwargs: {data_files: {test: ../secret}}\n",
        "'../secret' is not in its folder",
    ),
    "data on a host": (
        "task: t\ndataset_path: json\ndataset_kwargs: {data_files: {test: 'https://example.org/x'}}\n",
        "is not in its folder",
    ),
}


@pytest.mark.parametrize(("content", "text"), BAD.values(), ids=BAD)
def test_a_task_that_is_not_all_here_is_refused_by_file_and_key(folder: Path, content: str, text: str) -> None:
    (folder.parent / "secret").write_text("{}")
    (folder / "toy.yaml").write_text(content)
    with pytest.raises(BadInput, match=f"checks.tasks: toy.yaml: .*{text}"):
        tasks.fetched(str(folder), folder.parent)


def test_without_lm_eval_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(BadInput, match="install the extra `tasks`"):
        tasks.refuse_absent()
