"""The step `train` around its loop: what of a recipe reaches torch, what identifies a run, what sinks are told."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from trainer import train
from trainer.contract.recipe import Hyperparameters, Recipe
from trainer.data.dataset import Dataset
from trainer.durability.ranks import ONE_RANK
from trainer.pipeline import run_step
from trainer.sinks import Sinks
from trainer.tests.conftest import MakeSettings

RECIPE = Recipe(gpus_per_node=0, rank=4, width=96)


def test_compilation_is_of_each_layer_so_that_weights_keep_their_names(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[str] = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module: compiled.append(type(module).__name__))

    plain = train._model(make_settings(), RECIPE, ONE_RANK)
    assert not compiled
    fast = train._model(make_settings(), RECIPE.model_copy(update={"compile": True}), ONE_RANK)

    assert compiled == ["LlamaDecoderLayer"] * 2
    assert list(fast.parameters) == list(plain.parameters)


def test_a_share_of_the_gpus_memory_is_a_limit_of_torchs(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[float] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", limits.append)

    train._model(make_settings(), RECIPE.model_copy(update={"gpu_memory_fraction": 0.4}), ONE_RANK)

    assert limits == [0.4]


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"parallel": "ddp"}, True),
        ({"nodes": 2, "parallel": "ddp"}, True),
        ({"stuck_seconds": 60}, True),
        ({"activation_checkpointing": True}, True),
        ({"learning_rate": 1e-5}, False),
        ({"batch_rows": 8}, False),
        ({"evaluate_steps": 3, "patience": 2}, False),
        ({"schedule": "linear"}, False),
    ],
)
def test_what_changes_the_result_changes_the_fingerprint(
    make_settings: MakeSettings, tmp_path: Path, change: dict[str, Any], *, same: bool
) -> None:
    run_step("prepare", make_settings(), Sinks())
    dataset = Dataset.load(tmp_path / "out/prepared")

    found = [
        train._facts(dataset, "base", recipe, seed=1)["fingerprint"]
        for recipe in (RECIPE, Recipe.model_validate({**RECIPE.model_dump(), **change}))
    ]

    assert (found[0] == found[1]) is same


class _Noting(Sinks):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, Any]] = []

    def record(self, line: Any) -> None:
        self.lines.append(dict(line))


@pytest.mark.requirement("C60")
def test_sinks_are_told_what_the_file_says_with_times(
    make_settings: MakeSettings, recipes: Path, tmp_path: Path
) -> None:
    (recipes / "toy-measured.yaml").write_text((recipes / "toy.yaml").read_text() + "evaluateSteps: 4\n")
    once = Hyperparameters(epochs=1)  # each of the 40 rows
    settings, sink = make_settings(recipe="toy-measured", hyperparameters=once), _Noting()
    run_step("prepare", settings, Sinks())

    run_step("train", settings, sink)

    written = [json.loads(line) for line in (tmp_path / "out/metrics.jsonl").read_text().splitlines()]
    told = [line for line in sink.lines if "step" in line]
    assert [{name: line.get(name) for name in found} for line, found in zip(told, written, strict=True)] == written
    assert [line["step"] for line in told if "evalLoss" in line] == [4, 7]
    assert [line["checkpointStep"] for line in sink.lines if "checkpointStep" in line] == [2, 4, 6]
    assert all(line["stepSeconds"] > 0 and line["tokensPerSecond"] > 0 for line in told if "loss" in line)
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["rowsPerSecond"] / report["tokensPerSecond"] == pytest.approx(40 / report["tokens"], rel=0.05)
    assert report["bestStep"] == 7
    assert report["computedTokens"] == report["tokens"]
    assert (report["worldSize"], report["skippedSteps"], report["stoppedEarly"]) == (1, 0, False)
