"""Drift: a served version before its own held-out rows again."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from trainer import evaluate
from trainer.__main__ import main
from trainer.contract import bucket, steps
from trainer.contract.checks import Checks
from trainer.contract.job import TrainingJob
from trainer.contract.recipe import Recipe
from trainer.contract.report import Drift
from trainer.contract.steps import Exit
from trainer.contract.version import ServedVersion
from trainer.model.base import digest as base_digest
from trainer.publishing.manifest import seal
from trainer.settings import Settings
from trainer.sinks import Sinks
from trainer.tests.conftest import TOY_RECIPE
from trainer.tests.tuned import leave_attempt

RECIPE = {**yaml.safe_load(TOY_RECIPE), "rank": 2}  # the job chose another rank than its recipe has
VERSION = "models/replies/replies-j1"


@pytest.fixture(scope="module")
def published(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bucket with the attempt of a job and the version it made."""
    root = tmp_path_factory.mktemp("bucket")
    attempt, version = root / "jobs/j1/1", root / VERSION
    job = TrainingJob(job="j1", model="replies", base=str(base), data="d", recipe="toy", checks=Checks(generations=0))
    leave_attempt(attempt, job, Recipe.model_validate(RECIPE))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "recipe_trained", lambda *_: Recipe.model_validate(RECIPE))
        evaluate.run(Settings(job=job, attempt_url=str(attempt), work=root / "work"), Sinks())
    shutil.copytree(attempt / bucket.ADAPTER, version / bucket.ADAPTER)
    seal(version, {"attempt": 1, "recipe": {"name": "toy", "seed": 0, **RECIPE}})
    return root


@pytest.fixture
def root(published: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(published, tmp_path / "bucket"))


def _environment(root: Path, base: Path, *, digest: str | None = None) -> dict[str, str]:
    report = json.loads((root / "jobs/j1/1/report.json").read_text())
    version = ServedVersion(
        tenant="acme",
        model="replies",
        version="replies-j1",
        job="j1",
        adapter_digest=digest or report["adapterDigest"],
        base=str(base),
        base_digest=base_digest(base),
        recipe="toy",
    )
    return {steps.VERSION: version.to_parameter(), steps.BUCKET_URL: str(root), steps.WORK: str(root.parent / "work")}


def _reports(root: Path) -> list[Drift]:
    paths = sorted((root / "jobs/j1/drift").glob("*/report.json"))
    return [Drift.model_validate_json(path.read_text()) for path in paths]


def test_an_unchanged_version_measures_as_it_did(root: Path, base: Path) -> None:
    for _ in range(2):
        assert main(["drift"], _environment(root, base)) == Exit.DONE
    first, second = _reports(root)
    assert first == second
    assert first.loss.value == pytest.approx(first.loss_then, rel=1e-6)
    assert (first.version, first.evaluation_rows) == ("replies-j1", 6)
    assert first.loss.low < first.loss.value < first.loss.high


def _another_adapter(root: Path) -> None:
    path = root / VERSION / "adapter/adapter_model.safetensors"
    path.write_bytes(path.read_bytes() + b"\0")


def _resealed(root: Path) -> None:
    _another_adapter(root)
    seal(root / VERSION, {"attempt": 1, "recipe": RECIPE})


def _without_rows(root: Path) -> None:
    shutil.rmtree(root / "jobs/j1/1/prepared")


def _of_another_form(root: Path) -> None:
    seal(root / VERSION, {"recipe": RECIPE})


BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "a changed adapter": (_another_adapter, "Git and the bucket differ"),
    "a changed adapter, sealed again": (_resealed, "Git and the bucket differ"),
    "no rows": (_without_rows, "prepared: has no MANIFEST.json"),
    "another manifest": (_of_another_form, "its manifest or report is of another form ('attempt')"),
}


@pytest.mark.parametrize(("change", "text"), BAD.values(), ids=BAD)
def test_a_bucket_that_is_not_what_git_says_is_bad_input(
    root: Path, base: Path, capsys: pytest.CaptureFixture[str], change: Callable[[Path], None], text: str
) -> None:
    environment = _environment(root, base)
    change(root)
    assert main(["drift"], environment) == Exit.BAD_INPUT
    assert text in capsys.readouterr().err.splitlines()[-1]
    assert not _reports(root)


def test_a_version_that_is_no_version_is_bad_input(root: Path, base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drift"], {}) == Exit.BAD_INPUT
    assert main(["drift"], {**_environment(root, base), steps.VERSION: "%%%"}) == Exit.BAD_INPUT
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("TENON_VERSION, TENON_BUCKET_URL: not set")
    assert "is no base64url JSON of a ServedVersion" in second
