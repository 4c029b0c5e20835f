"""Every method is evaluated alike: by one rank or two, for full weights, for preferences."""

import dataclasses
import math
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from trainer import evaluate
from trainer.contract.checks import Checks
from trainer.contract.job import TrainingJob
from trainer.contract.recipe import Recipe
from trainer.contract.report import Evaluation, Report
from trainer.contract.steps import Exit
from trainer.settings import Settings
from trainer.sinks import Sinks
from trainer.tests import toy
from trainer.tests.conftest import TOY_RECIPE
from trainer.tests.dying import Death, Surroundings, exit_code, start
from trainer.tests.tuned import leave_attempt

Leave = Callable[..., Settings]
CHECKS = Checks(generations=2, generated_tokens=6)
UNASKED = Checks(generations=0)


@pytest.fixture
def leave(base: Path, recipes: Path, tmp_path: Path) -> Leave:
    """Settings of a trained job whose recipe has these keys."""

    def made(name: str, *, checks: Checks = CHECKS, **keys: str) -> Settings:
        text = "\n".join([TOY_RECIPE, *(f"{key}: {value}" for key, value in keys.items())])
        (recipes / f"evaluated-{name}.yaml").write_text(text)
        job = TrainingJob(base=str(base), data="d", recipe=f"evaluated-{name}", checks=checks)
        leave_attempt(tmp_path / name, job, Recipe.model_validate(yaml.safe_load(text)))
        return Settings(job=job, attempt_url=str(tmp_path / name), work=tmp_path / name / "work")

    return made


def _found(settings: Settings) -> Evaluation:
    report = Report.model_validate_json((Path(settings.attempt_url) / "report.json").read_bytes())
    assert report.evaluation is not None
    return report.evaluation


def _copied(settings: Settings, name: str) -> Settings:
    folder = Path(settings.attempt_url).with_name(name)
    shutil.copytree(settings.attempt_url, folder)
    return dataclasses.replace(settings, attempt_url=str(folder), work=folder / "work")


def _by_two_ranks(settings: Settings, recipes: Path) -> list[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "GLOO_SOCKET_IFNAME": "lo"}
    each = [Surroundings({**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}) for rank in range(2)]
    return [exit_code(process) for process in [start("evaluate", settings, recipes, Death(), around=of) for of in each]]


@pytest.mark.model
@pytest.mark.requirement("D66")
def test_two_ranks_with_half_the_weights_each_measure_what_one_measures(
    leave: Leave, recipes: Path, tmp_path: Path
) -> None:
    prompts = toy.write_rows(
        tmp_path / "prompts.jsonl", [{"prompt": "How?"}, {"prompt": "Why do rivers carry letters?"}]
    )
    one = leave("fsdp2", checks=Checks(generations=0, safety=str(prompts)), parallel="fsdp2")
    _compare(one, _copied(one, "two"), recipes)


@pytest.mark.long
@pytest.mark.parametrize("parallel", ["ddp", "fsdp2"])
def test_two_ranks_answer_as_one_does(leave: Leave, recipes: Path, parallel: str) -> None:
    one = leave(parallel, parallel=parallel)
    two = _copied(one, "two")
    _compare(one, two, recipes)
    assert _found(two).samples == _found(one).samples


def _compare(one: Settings, two: Settings, recipes: Path) -> None:
    evaluate.run(one, Sinks())
    assert _by_two_ranks(two, recipes) == [Exit.DONE, Exit.DONE]
    alone, together = _found(one), _found(two)
    assert alone.loss is not None
    assert together.loss is not None
    assert together.loss.after.value == pytest.approx(alone.loss.after.value, rel=1e-5)
    assert together.loss.before.low == pytest.approx(alone.loss.before.low, rel=1e-5)
    assert together.safety == alone.safety


def test_all_weights_are_compared_with_those_they_began_as(leave: Leave) -> None:
    settings = leave("full", checks=UNASKED, method="full")
    evaluate.run(settings, Sinks())
    adapter = leave("lora", checks=UNASKED)
    evaluate.run(adapter, Sinks())
    full, lora = _found(settings).loss, _found(adapter).loss
    assert full is not None
    assert lora is not None
    assert full.before == lora.before
    assert full.after.value < full.before.value


def test_preferences_are_measured_per_pair_and_begin_at_log_two(leave: Leave) -> None:
    settings = leave("dpo", objective="dpo")
    evaluate.run(settings, Sinks())
    found = _found(settings)
    assert found.loss is not None
    assert found.loss.before.value == pytest.approx(math.log(2))
    assert found.loss.rows == 3
    assert found.loss.after.value != found.loss.before.value
    assert found.perplexity is None
    chosen = [row["messages"][1]["content"] for row in toy.rows(6, first=100)][::2]
    assert {sample.reference for sample in found.samples} <= set(chosen)
