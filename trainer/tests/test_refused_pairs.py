"""Pairs of a recipe's parts that cannot work: each is refused before anything is fetched, with what to do instead."""

from typing import Any

import pytest
from pydantic import ValidationError

from trainer.contract.recipe import Hyperparameters, Recipe

GPUS = {"gpusPerNode": 2, "batchRows": 4}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "qlora, fsdp2": ({**GPUS, "method": "qlora", "parallel": "fsdp2"}, "use qlora with ddp"),
    "full, ddp": ({**GPUS, "method": "full", "parallel": "ddp"}, "use full with fsdp2"),
    "single, two ranks": (GPUS, "parallel single and 2 ranks do not fit; use ddp or fsdp2"),
    "single, two nodes": ({"nodes": 2, "gpusPerNode": 1}, "parallel single and 2 ranks do not fit"),
    "ddp, one rank": ({"parallel": "ddp"}, "parallel ddp and one rank do not fit; use single, or more gpusPerNode"),
    "fsdp2, one rank": ({"parallel": "fsdp2"}, "parallel fsdp2 and one rank do not fit; use single"),
    "full, rslora": ({"method": "full", "rslora": True}, "use method lora, or leave them out"),
    "full, dora": ({"method": "full", "dora": True}, "use method lora, or leave them out"),
    "dora, fsdp2": ({**GPUS, "dora": True, "parallel": "fsdp2"}, "dora needs whole weights .* use ddp"),
    "8 bit, fsdp2": ({**GPUS, "optimizer": "adamw-8bit", "parallel": "fsdp2"}, "optimizer adamw-8bit .* use adamw "),
    "paged, fsdp2": ({**GPUS, "optimizer": "paged-adamw-8bit", "parallel": "fsdp2"}, "paged-adamw-8bit .* use adamw"),
    "dpo, full": ({"objective": "dpo", "method": "full"}, "use method lora"),
    "flash, cpu": ({"attention": "flash", "gpusPerNode": 0, "precision": "bf16"}, "use sdpa, or another precision"),
    "flash, fp32": ({"attention": "flash", "precision": "fp32"}, "use sdpa, or another precision"),
    "patience, no measurement": ({"patience": 3}, "set evaluateSteps"),
    "rows, ranks": ({**GPUS, "parallel": "ddp", "batchRows": 5}, r"batchRows 5 is no multiple .*\(2\); change one"),
    "rows, micro rows": (
        {"microRows": 3},
        r"batchRows 4 is no multiple of ranks x microRows \(3\); change one",
    ),
}


@pytest.mark.requirement("C49")
@pytest.mark.parametrize(("parts", "text"), REFUSED.values(), ids=REFUSED)
def test_two_parts_that_cannot_work_together_are_refused_with_the_remedy(parts: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text) as caught:
        Recipe.model_validate(parts)

    assert len(caught.value.errors()) == 1


MENDED: tuple[dict[str, Any], ...] = (
    {**GPUS, "method": "qlora", "parallel": "ddp"},
    {**GPUS, "method": "full", "parallel": "fsdp2"},
    {"parallel": "ddp", "gpusPerNode": 0},  # so many nodes as are started, one rank each
    {**GPUS, "dora": True, "parallel": "ddp"},
    {"optimizer": "paged-adamw-8bit"},
    {"objective": "dpo", "method": "qlora"},
    {"attention": "flash", "precision": "bf16"},
    {"patience": 3, "evaluateSteps": 10},
)


@pytest.mark.parametrize("parts", MENDED, ids=str)
def test_what_the_remedies_name_is_taken(parts: dict[str, Any]) -> None:
    Recipe.model_validate(parts)


def test_every_pair_that_the_contract_refuses_is_in_the_table() -> None:
    met = set()
    for parts, _ in REFUSED.values():
        pairs = Recipe.model_construct(**parts)._impossible()
        met |= {number for number, (is_impossible, _) in enumerate(pairs) if is_impossible}

    assert met == set(range(len(Recipe()._impossible())))


def test_a_caller_cannot_make_a_recipe_impossible() -> None:
    with pytest.raises(ValueError, match="use method lora"):
        Recipe(method="full").with_overrides(Hyperparameters(objective="dpo"))


def test_a_multiplier_is_of_the_recipes_own_rate() -> None:
    changed = Recipe(learning_rate=1e-4).with_overrides(Hyperparameters(learning_rate_multiplier=3))
    assert changed.learning_rate == pytest.approx(3e-4)


def test_a_rate_is_given_in_one_way() -> None:
    with pytest.raises(ValueError, match="two words"):
        Hyperparameters(learning_rate=1e-4, learning_rate_multiplier=2)
