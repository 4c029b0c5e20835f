from pathlib import Path

import numpy as np
import pytest
import torch

from trainer.contract.recipe import Recipe
from trainer.data.masks import Document
from trainer.data.packing import IGNORED, PackedRow, packed
from trainer.model.adapter import Adapted
from trainer.model.base import load
from trainer.model.loss import summed_loss


def test_no_document_predicts_its_neighbours_first_token() -> None:
    row = packed([_document(1, 5), _document(2, 4)])

    assert row.labels[0] == IGNORED
    assert row.labels[5] == IGNORED
    assert row.positions.tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3]


def _document(seed: int, length: int) -> Document:
    ids = np.random.default_rng(seed).integers(3, 500, length).astype(np.int32)
    return Document(seed, ids, np.ones(length, dtype=np.bool_))


DOCUMENTS = [_document(1, 40), _document(2, 7), _document(3, 23)]


@pytest.fixture(scope="module")
def model(base: Path) -> Adapted:
    made = Adapted(load(base, precision="fp32"), Recipe(rank=4), seed=0)
    with torch.no_grad():
        for weight in made.parameters.values():
            weight.add_(torch.randn_like(weight) * 0.1)
    made.training(mode=False)
    return made


def _gradients(model: Adapted, *forwards: list[PackedRow]) -> torch.Tensor:
    """Of the trained weights, summed over several passes of the rows given."""
    for rows in forwards:
        summed_loss(model, rows).backward()  # type: ignore[no-untyped-call]
    gradients = torch.cat([weight.grad.flatten() for weight in model.parameters.values() if weight.grad is not None])
    for weight in model.parameters.values():
        weight.grad = None
    return gradients


ALONE = [packed([document]) for document in DOCUMENTS]
TOGETHER = {
    "in one row": [[packed(DOCUMENTS)]],
    "in another order": [[packed(DOCUMENTS[::-1])]],
    "padded beside one another": [ALONE],
    "in two rows, one of them padded": [[packed(DOCUMENTS[:2]), ALONE[2]]],
}


@pytest.mark.parametrize("forwards", TOGETHER.values(), ids=TOGETHER)
def test_gradients_equal_those_of_the_documents_alone(model: Adapted, forwards: list[list[PackedRow]]) -> None:
    together, alone = _gradients(model, *forwards), _gradients(model, *([row] for row in ALONE))

    assert float((together - alone).norm() / alone.norm()) <= 1e-5


def test_a_changed_document_leaves_its_neighbours_logits_bit_equal(model: Adapted) -> None:
    changed = [_document(9, 40), *DOCUMENTS[1:]]

    before, after = _logits(model, packed(DOCUMENTS)), _logits(model, packed(changed))

    assert torch.equal(before[40:], after[40:])
    assert not torch.equal(before[:40], after[:40])


@torch.no_grad()
def _logits(model: Adapted, row: PackedRow) -> torch.Tensor:
    ids, positions = torch.from_numpy(row.ids)[None], torch.from_numpy(row.positions)[None]
    logits: torch.Tensor = model.causal(input_ids=ids, position_ids=positions, use_cache=False).logits[0]
    return logits


def test_the_loss_equals_torchs_own_over_all_logits(model: Adapted) -> None:
    row = packed(DOCUMENTS)

    plain = torch.nn.functional.cross_entropy(
        _logits(model, row)[:-1], torch.from_numpy(row.labels)[1:], reduction="sum", ignore_index=IGNORED
    )

    assert float(summed_loss(model, [row]).detach()) == pytest.approx(float(plain), rel=1e-5)
