"""Base models that are sealed and wrong: refused by name, before anything is trained on what is absent."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from trainer.contract.job import TrainingJob
from trainer.model import base as base_model
from trainer.model.source import fetched
from trainer.outcomes import BadInput
from trainer.pipeline import run_step
from trainer.plan import forecast
from trainer.publishing.manifest import seal
from trainer.sinks import Sinks
from trainer.tests.conftest import MakeSettings

WEIGHTS = "model.safetensors"


def _configured(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **changes}))

    return change


def _without(part: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        weights = load_file(folder / WEIGHTS)
        save_file({name: weight for name, weight in weights.items() if part not in name}, folder / WEIGHTS)

    return change


def _broken(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((20).to_bytes(8, "little") + b'{"a":' + b"x" * 40)


def _copy(base: Path, folder: Path, change: Callable[[Path], None]) -> Path:
    shutil.copytree(base, folder)
    change(folder)
    (folder / "MANIFEST.json").unlink()
    seal(folder)
    return folder


LOADED: dict[str, tuple[Callable[[Path], None], str]] = {
    "a weight is absent": (
        _without("1.mlp.up_proj"),
        r"layers\.1\.mlp\.up_proj\.weight is in config.json's model and not in",
    ),
    "the embeddings are absent": (_without("embed_tokens"), r"(embed_tokens|lm_head)\.weight is in config.json's"),
    "more layers than weights": (_configured(num_hidden_layers=3), r"layers\.2\..* is in config.json's model and not"),
    "fewer layers than weights": (_configured(num_hidden_layers=1), r"layers\.1\..* is in the files and not in"),
    "another width": (_configured(hidden_size=128), "has a size that config.json does not say"),
    "a smaller vocabulary": (_configured(vocab_size=100), r"embed_tokens\.weight has a size that config.json does not"),
    "a header of no JSON": (_broken, "cannot be loaded .*header"),
    "an unknown form": (_configured(model_type="nonesuch"), "cannot be loaded .*nonesuch"),
    "another form": (_configured(model_type="gpt2"), "is in config.json's model and not in the files|another form"),
    "other weights": (_configured(quantization_config={"quant_method": "gptq", "bits": 4}), "cannot be loaded"),
}


@pytest.mark.parametrize("four_bit", [False, True])
@pytest.mark.parametrize(("change", "said"), LOADED.values(), ids=LOADED)
def test_a_base_that_is_not_whole_is_refused_in_one_line(
    base: Path, tmp_path: Path, change: Callable[[Path], None], said: str, *, four_bit: bool
) -> None:
    folder = _copy(base, tmp_path / "base", change)

    with pytest.raises(BadInput, match=said) as refused:
        base_model.load(folder, precision="fp32", four_bit=four_bit, device=torch.device("cpu"))
    assert "\n" not in str(refused.value)


def test_a_disk_that_fails_is_no_fault_of_the_base(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("trainer.model.base.AutoModelForCausalLM.from_pretrained", fail)

    with pytest.raises(OSError, match="Input/output"):
        base_model.load(base, precision="fp32")


def test_a_base_without_weights_is_refused(base: Path, tmp_path: Path) -> None:
    folder = _copy(base, tmp_path / "base", lambda copy: (copy / WEIGHTS).unlink())

    with pytest.raises(BadInput, match="lists no weights"):
        fetched(TrainingJob(base=str(folder), data="rows.jsonl"), tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_type": None}, "names no model_type"),
        ({"quantization_config": {"quant_method": "awq"}}, r"its weights are quantised \(awq\); use the model's whole"),
    ],
    ids=["no type", "quantised"],
)
def test_what_a_configuration_tells_is_refused_by_the_plan_and_before_a_gpu_is_asked_for(
    base: Path, tmp_path: Path, make_settings: MakeSettings, changes: dict[str, Any], said: str
) -> None:
    settings = make_settings(base=str(_copy(base, tmp_path / "base", _configured(**changes))))

    with pytest.raises(BadInput, match=said):
        forecast(settings.job)
    with pytest.raises(BadInput, match=said):
        run_step("prepare", settings, Sinks())
