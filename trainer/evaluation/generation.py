"""Answers of a model: greedy, so that the same weights give the same text."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
import torch
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList

from trainer.data.masks import Document
from trainer.evaluation.pace import TEXT, Pace
from trainer.model.precision import computing
from trainer.model.tuned import Tuned
from trainer.outcomes import Killed

BATCH = 8  # prompts that are answered together


@dataclass(frozen=True)
class Prompt:
    """A held-out conversation up to its last learned answer, and that answer, as tokens."""

    ids: tuple[int, ...]
    reference: tuple[int, ...]


def prompts_of(documents: Sequence[Document], *, number: int, seed: int) -> list[Prompt]:
    """Of `number` documents drawn from the seed, in their order; documents that begin with what is learned have none.

    Masks say where the answer is: the last run of learned tokens.
    """
    order = np.random.default_rng([seed, len(documents)]).permutation(len(documents))
    chosen: dict[int, Prompt] = {}
    for index in order:
        if len(chosen) == number:
            break
        if (prompt := _prompt(documents[int(index)])) is not None:
            chosen[int(index)] = prompt
    return [prompt for _, prompt in sorted(chosen.items())]


def _prompt(document: Document) -> Prompt | None:
    learned = np.flatnonzero(document.learned)
    if len(learned) == 0:
        return None
    gaps = np.flatnonzero(np.diff(learned) > 1)
    start = int(learned[gaps[-1] + 1] if len(gaps) else learned[0])
    if start == 0:
        return None
    ids = document.ids.tolist()
    return Prompt(tuple(ids[:start]), tuple(ids[start : int(learned[-1]) + 1]))


def batches_of(prompts: Sequence[Sequence[int]]) -> list[list[int]]:
    """Indices of prompts of like length, so that little is padding; the same batches for both models."""
    order = sorted(range(len(prompts)), key=lambda index: (len(prompts[index]), index))
    return [order[start : start + BATCH] for start in range(0, len(order), BATCH)]


def answers(
    model: Tuned, prompts: Sequence[Sequence[int]], *, most: int, ends: Collection[int], precision: str, pace: Pace
) -> list[list[int]]:
    """Tokens of each answer, without the one that ends it. most: tokens of an answer. ends: tokens that end one.

    Every rank answers every prompt: the collective calls of a sharded model then go together.
    """
    model.training(mode=False)
    device = model.causal.device
    found: list[list[int]] = [[] for _ in prompts]
    for batch in batches_of(prompts):
        pace.step()
        with torch.no_grad(), computing(precision, device):
            asked = [prompts[index] for index in batch]
            made = _generated(model, asked, most=most, ends=sorted(ends), pace=pace)
        for index, ids in zip(batch, made, strict=True):
            found[index] = _up_to(ids, ends)
    return found


def _generated(
    model: Tuned, prompts: Sequence[Sequence[int]], *, most: int, ends: list[int], pace: Pace
) -> list[list[int]]:
    """What follows each prompt, with all that follows its end. Raises Killed."""
    causal = model.causal
    width = max(len(prompt) for prompt in prompts)
    most = min(most, causal.config.max_position_embeddings - width)
    if most < 1:  # the conversation fills the model's context
        return [[] for _ in prompts]
    padding = [width - len(prompt) for prompt in prompts]
    ids = torch.tensor([[ends[0]] * room + list(prompt) for room, prompt in zip(padding, prompts, strict=True)])
    mask = torch.tensor([[0] * room + [1] * (width - room) for room in padding])
    made = causal.generate(
        ids.to(causal.device),
        attention_mask=mask.to(causal.device),
        generation_config=_greedy(most, ends),
        stopping_criteria=StoppingCriteriaList([_Asked(pace)]),
    )
    if pace.is_asked_alone:
        raise Killed(TEXT)
    found: list[list[int]] = made[:, width:].tolist()
    return found


def _greedy(most: int, ends: list[int]) -> GenerationConfig:
    """Nothing of the base model's own settings: they may draw at random."""
    made: GenerationConfig = GenerationConfig(  # type: ignore[no-untyped-call]
        do_sample=False, max_new_tokens=most, eos_token_id=ends, pad_token_id=ends[0]
    )
    return made


class _Asked(StoppingCriteria):
    """Ends the answers in the middle once this process, being alone, is asked to stop."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: object) -> torch.Tensor:
        del scores
        return torch.full((len(input_ids),), self._pace.is_asked_alone, dtype=torch.bool, device=input_ids.device)


def _up_to(ids: list[int], ends: Collection[int]) -> list[int]:
    return list(takewhile(lambda id_: id_ not in ends, ids))
