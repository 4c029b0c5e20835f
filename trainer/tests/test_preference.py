from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from trainer.contract.recipe import Recipe
from trainer.data.batches import Batches
from trainer.data.masks import Document
from trainer.data.packing import PackedRow, packed
from trainer.durability.interruption import Interruption
from trainer.loop import Training
from trainer.model.making import tuned
from trainer.model.preference import pair_losses, pairs_of, rewards
from trainer.model.tuned import Tuned
from trainer.schedule import Plan
from trainer.tests.watching import Watching

BETA = 0.5
DPO: Mapping[str, Any] = {
    "gpus_per_node": 0,
    "objective": "dpo",
    "beta": BETA,
    "rank": 4,
    "width": 128,
    "batch_rows": 2,
    "learning_rate": 0.01,
    "warmup_steps": 1,
    "epochs": 6,
}


def _documents() -> list[Document]:
    """Four pairs, chosen and rejected in turn: the same question, and other answers of other lengths."""
    random = np.random.default_rng(0)
    made = []
    for line in range(4):
        question = random.integers(3, 500, 10)
        for _ in range(2):
            ids = np.concatenate([question, random.integers(3, 500, int(random.integers(4, 12)))])
            made.append(Document(line, ids.astype(np.int32), np.arange(len(ids)) >= len(question)))
    return made


def _rows(*, swapped: bool = False) -> list[PackedRow]:
    """Two pairs to a row."""
    documents = _documents()
    order = [index ^ 1 if swapped else index for index in range(8)]
    return [packed([documents[index] for index in order[start : start + 4]]) for start in (0, 4)]


@pytest.fixture
def model(base: Path) -> Tuned:
    """An adapter that has moved away from the base, its dropout off."""
    made = tuned(base, Recipe(**DPO), seed=1)
    torch.manual_seed(2)
    with torch.no_grad():
        for weight in made.parameters.values():
            weight.add_(0.05 * torch.randn_like(weight))
    made.training(mode=False)
    return made


def _plainly(model: Tuned) -> torch.Tensor:
    """The loss of each pair as the paper writes it: one document at a time, all logits, no packing."""

    def likelihood(document: Document) -> torch.Tensor:
        ids = torch.from_numpy(document.ids.astype(np.int64))
        logits = model.causal(input_ids=ids[None]).logits[0, :-1]
        found = functional.log_softmax(logits, dim=-1).gather(1, ids[1:, None])[:, 0]
        return found[torch.from_numpy(document.learned)[1:]].sum()

    def likelihoods() -> torch.Tensor:
        return torch.stack([likelihood(document) for document in _documents()]).view(4, 2)

    with torch.no_grad():
        now = likelihoods()
        with model.without():
            then = likelihoods()
    ratio = (now - then)[:, 0] - (now - then)[:, 1]
    return -torch.log(torch.sigmoid(BETA * ratio))


def test_packed_pairs_have_the_losses_of_single_documents(model: Tuned) -> None:
    rows = _rows()

    found = pair_losses(rewards(model, rows, BETA))

    assert [pairs_of(row) for row in rows] == [2, 2]
    assert found.detach().tolist() == pytest.approx(_plainly(model).tolist(), rel=1e-4)


def test_a_model_that_is_its_base_has_no_rewards(base: Path) -> None:
    found = rewards(tuned(base, Recipe(**DPO), seed=1), _rows(), BETA)

    assert torch.equal(found, torch.zeros(4, 2))
    assert pair_losses(found).tolist() == pytest.approx([np.log(2)] * 4)


def test_beta_scales_rewards_and_a_swap_turns_them_round(model: Tuned) -> None:
    found = rewards(model, _rows(), BETA)

    assert torch.allclose(rewards(model, _rows(), 2 * BETA), 2 * found)
    assert torch.allclose(rewards(model, _rows(swapped=True), BETA).flip(1), found, atol=1e-5)


def test_a_gradient_of_a_pair_raises_the_chosen_and_lowers_the_rejected(model: Tuned) -> None:
    before = rewards(model, _rows(), BETA)
    pair_losses(before).sum().backward()  # type: ignore[no-untyped-call]

    with torch.no_grad():
        for weight in model.parameters.values():
            if weight.grad is not None:
                weight.sub_(1e-3 * weight.grad)
        after = rewards(model, _rows(), BETA)

    assert (after[:, 0] - after[:, 1]).sum() > (before[:, 0] - before[:, 1]).sum()


def _trained(base: Path, **changes: Any) -> list[dict[str, Any]]:
    recipe, rows, lines = Recipe(**{**DPO, **changes}), _rows(), []
    plan = Plan.of(recipe, len(rows), seed=3)
    training = Training(tuned(base, recipe, seed=3), plan, Batches(rows, 3, recipe.epochs), rows)
    training.run(Interruption(), Watching(lambda line: lines.append(dict(line))))
    return lines


def test_preferences_are_learned(base: Path) -> None:
    lines = _trained(base, evaluate_steps=6)

    assert lines[0]["loss"] == pytest.approx(np.log(2))
    assert lines[0]["rewardAccuracy"] == 0
    assert lines[-1]["evalLoss"] < 0.5 * np.log(2)
    assert lines[-1]["evalRewardAccuracy"] == 1
    assert lines[-1]["evalRewardMargin"] > 0


def test_micro_steps_of_several_rows_do_not_change_a_preference(base: Path) -> None:
    one, two = (_trained(base, max_steps=3, micro_rows=rows) for rows in (1, 2))

    assert [line["loss"] for line in one] == pytest.approx([line["loss"] for line in two], rel=1e-5)
