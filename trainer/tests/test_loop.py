import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.contract.recipe import Recipe
from trainer.data.batches import Batches
from trainer.data.masks import Document
from trainer.data.packing import PackedRow, best_fit_decreasing, packed
from trainer.durability.interruption import Interruption
from trainer.loop import Training
from trainer.model.adapter import Adapted
from trainer.model.base import load
from trainer.schedule import Plan
from trainer.tests.watching import Watching

RECIPE = Recipe(rank=4, width=64, batch_rows=2, learning_rate=0.01, warmup_steps=3, epochs=4, max_steps=20)


def _documents() -> list[Document]:
    random = np.random.default_rng(0)
    made = []
    for line, length in enumerate(random.integers(8, 40, 24)):
        learned = np.arange(length) >= length // 2
        made.append(Document(line, random.integers(3, 500, length).astype(np.int32), learned))
    return made


@pytest.mark.requirement("E77")
def test_twenty_steps_lose_what_a_plain_loop_over_single_documents_loses(base: Path) -> None:
    documents = _documents()
    places = best_fit_decreasing([len(document) for document in documents], RECIPE.width)
    rows = [packed([documents[index] for index in row]) for row in places]
    alone = {id(row): [packed([documents[index]]) for index in place] for row, place in zip(rows, places, strict=True)}
    model = Adapted(load(base, precision="fp32"), RECIPE, seed=3)
    losses: list[float] = []
    plan = Plan.of(RECIPE, len(rows), seed=3)

    training = Training(model, plan, Batches(rows, 3, RECIPE.epochs))
    assert training.run(Interruption(), Watching(lambda line: losses.append(line["loss"])))

    reference = Adapted(load(base, precision="fp32"), RECIPE, seed=3)
    order = Batches(rows, 3, RECIPE.epochs)
    batches = [[one for row in order.take(RECIPE.batch_rows) for one in alone[id(row)]] for _ in range(plan.steps)]
    assert losses == pytest.approx(_plain(reference, batches), rel=1e-4)
    assert len(losses) == 20


def _plain(model: Adapted, batches: list[list[PackedRow]]) -> list[float]:
    """The same training as one would write it first: all logits, torch's own schedule, one document at a time."""
    weights = list(model.parameters.values())
    optimizer = torch.optim.AdamW(weights, lr=RECIPE.learning_rate, weight_decay=0.0)
    steps, warmup = len(batches), RECIPE.warmup_steps
    warm = torch.optim.lr_scheduler.LinearLR(optimizer, 1 / (warmup + 1), 1.0, total_iters=warmup)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps - warmup)
    schedule = torch.optim.lr_scheduler.SequentialLR(optimizer, [warm, cosine], [warmup])
    model.training(mode=True)
    losses = []
    for batch in batches:
        documents = [(torch.from_numpy(row.ids)[None], torch.from_numpy(row.labels)) for row in batch]
        sums = [
            torch.nn.functional.cross_entropy(model.causal(input_ids=ids).logits[0, :-1], labels[1:], reduction="sum")
            for ids, labels in documents
        ]
        loss = torch.stack(sums).sum() / sum(row.labelled for row in batch)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(weights, RECIPE.max_grad_norm)
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
    return losses


@given(rows=st.integers(1, 12), epochs=st.integers(1, 3), size=st.integers(1, 5), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_each_row_is_taken_once_an_epoch_from_any_position(rows: int, epochs: int, size: int, seed: int) -> None:
    made = [packed([Document(line, np.array([line], np.int32), np.array([True]))]) for line in range(rows)]
    straight = Batches(made, seed, epochs)
    taken = [int(row.ids[0]) for _ in range(math.ceil(rows * epochs / size)) for row in straight.take(size)]

    again = Batches(made, seed, epochs, position=size)

    assert sorted(taken) == sorted(list(range(rows)) * epochs)
    assert [int(row.ids[0]) for row in again.take(rows * epochs)] == taken[size:]


@given(steps=st.integers(1, 60), warmup=st.integers(0, 80))
@settings(max_examples=40, deadline=None)
def test_the_learning_rate_rises_then_falls_and_never_leaves_its_bounds(steps: int, warmup: int) -> None:
    plan = Plan(Recipe(warmup_steps=warmup, learning_rate=0.1), steps, seed=0)
    rates = [plan.learning_rate(step) for step in range(steps)]
    top = rates.index(max(rates))

    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert all(0 < rate <= 0.1 for rate in rates)
