import json
from pathlib import Path
from typing import Any

import pytest
import torch

from trainer.contract.bucket import MANIFEST
from trainer.contract.recipe import Recipe
from trainer.merge import merge
from trainer.model.adapter import Adapted
from trainer.model.base import load
from trainer.model.making import tuned
from trainer.outcomes import BadInput

FACTS = {"baseDigest": "0" * 64}


@pytest.fixture(scope="module")
def adapted(base: Path) -> Adapted:
    model = Adapted(load(base, precision="fp32"), Recipe.model_validate({"rank": 4, "alpha": 8, "dropout": 0}), seed=1)
    torch.manual_seed(2)
    with torch.no_grad():
        for weight in model.parameters.values():
            weight.normal_(std=0.2)
    return model


@pytest.mark.requirement("B44")
def test_the_merged_model_answers_as_base_and_adapter_do(base: Path, adapted: Adapted, tmp_path: Path) -> None:
    adapted.save(tmp_path / "adapter", FACTS)
    ids = torch.arange(3, 40)[None]

    merged = load(merge(base, tmp_path / "adapter", tmp_path / "merged"), precision="fp32")

    with torch.no_grad():
        wanted, alone = adapted.causal(ids).logits, load(base, precision="fp32")(ids).logits
        torch.testing.assert_close(merged(ids).logits, wanted, atol=1e-4, rtol=1e-4)
        assert not torch.allclose(alone, wanted, atol=1e-2)


@pytest.mark.requirement("B44")
@pytest.mark.parametrize(
    "choices", [{"rslora": True}, {"dora": True}, {"method": "qlora"}, {"method": "qlora", "dora": True}]
)
def test_every_form_of_lora_merges_into_the_unquantised_base(
    base: Path, tmp_path: Path, choices: dict[str, Any]
) -> None:
    recipe = Recipe.model_validate({"rank": 4, "alpha": 8, **choices})
    model = tuned(base, recipe, seed=1)
    torch.manual_seed(3)
    with torch.no_grad():
        for weight in model.parameters.values():
            weight.add_(torch.randn_like(weight) * 0.1)
    model.save(tmp_path / "adapter", FACTS)
    on_base = Adapted(load(base, precision="fp32"), recipe, seed=2)
    on_base.load(tmp_path / "adapter")
    ids = torch.arange(3, 40)[None]

    merged = load(merge(base, tmp_path / "adapter", tmp_path / "merged"), precision="fp32")

    on_base.training(mode=False)
    with torch.no_grad():
        torch.testing.assert_close(merged(ids).logits, on_base.causal(ids).logits, atol=1e-4, rtol=1e-4)
        assert not torch.allclose(merged(ids).logits, load(base, precision="fp32")(ids).logits, atol=1e-2)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"peft_type": "IA3"}, "is no LoRA adapter but IA3"),
        ({"rank_pattern": {"q_proj": 2}}, "has rank_pattern, which cannot be merged here; serve it with runtime vllm"),
        ({"modules_to_save": ["lm_head"]}, "has modules_to_save"),
        ({"r": 8}, "has rank 4, the configuration says 8"),
    ],
)
def test_an_adapter_of_another_form_is_refused(
    base: Path, adapted: Adapted, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    adapted.save(tmp_path / "adapter", FACTS)
    path = tmp_path / "adapter/adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))

    with pytest.raises(BadInput, match=said):
        merge(base, tmp_path / "adapter", tmp_path / "merged")


def test_the_merged_folder_holds_what_a_server_reads_and_no_manifest_of_the_base(
    base: Path, adapted: Adapted, tmp_path: Path
) -> None:
    adapted.save(tmp_path / "adapter", FACTS)

    merged = merge(base, tmp_path / "adapter", tmp_path / "merged")

    assert {path.name for path in base.iterdir()} - {path.name for path in merged.iterdir()} == {MANIFEST}


def test_an_adapter_of_another_base_is_refused(base: Path, adapted: Adapted, tmp_path: Path) -> None:
    adapted.save(tmp_path / "adapter", FACTS)
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_bytes((base / "config.json").read_bytes())

    with pytest.raises(BadInput, match="is no weight of"):
        merge(other, tmp_path / "adapter", tmp_path / "merged")
