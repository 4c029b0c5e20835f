from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from trainer.contract.recipe import Attention, Recipe
from trainer.data.masks import Document
from trainer.data.packing import PackedRow, packed
from trainer.model.hardware import Hardware, refuse_absent_hardware
from trainer.model.loss import summed_loss
from trainer.model.making import tuned
from trainer.model.tuned import Tuned
from trainer.outcomes import BadInput

T4, H100 = ("Tesla T4", (7, 5)), ("NVIDIA H100", (9, 0))
# Flex attention without a compiler: the same masks, in plain operations.
UNCOMPILED = pytest.mark.filterwarnings(
    "ignore:_compile flag:DeprecationWarning", "ignore:flex_attention called without"
)
KERNELS = ["eager", "sdpa", pytest.param("flex", marks=UNCOMPILED)]


@pytest.fixture(autouse=True)
def uncompiled() -> None:
    torch.compiler.set_stance("force_eager")


def _document(seed: int, length: int) -> Document:
    ids = np.random.default_rng(seed).integers(3, 500, length).astype(np.int32)
    return Document(seed, ids, np.ones(length, dtype=np.bool_))


DOCUMENTS = [_document(1, 40), _document(2, 7), _document(3, 23)]


def _model(base: Path, **choices: object) -> Tuned:
    model = tuned(base, Recipe.model_validate({"gpus_per_node": 0, "rank": 4, "width": 96, **choices}), seed=0)
    model.training(mode=False)
    return model


@torch.no_grad()
def _logits(model: Tuned, row: PackedRow) -> torch.Tensor:
    ids, positions = torch.from_numpy(row.ids)[None], torch.from_numpy(row.positions)[None]
    logits: torch.Tensor = model.causal(input_ids=ids, position_ids=positions, use_cache=False).logits[0]
    return logits


@pytest.mark.parametrize("attention", KERNELS)
def test_a_changed_document_leaves_its_neighbours_logits_bit_equal(base: Path, attention: Attention) -> None:
    model, changed = _model(base, attention=attention), [_document(9, 40), *DOCUMENTS[1:]]

    before, after = _logits(model, packed(DOCUMENTS)), _logits(model, packed(changed))

    assert torch.equal(before[40:], after[40:])
    assert not torch.equal(before[:40], after[:40])


@pytest.mark.parametrize("attention", KERNELS)
def test_every_kernel_sees_what_the_documents_alone_see(base: Path, attention: Attention) -> None:
    model, plain = _model(base, attention=attention), _model(base)

    together = _logits(model, packed(DOCUMENTS))

    alone = torch.cat([_logits(plain, packed([document])) for document in DOCUMENTS])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.model  # compiles for half a minute
@pytest.mark.filterwarnings("default")
def test_compiled_flex_attention_keeps_documents_apart(base: Path) -> None:
    torch.compiler.set_stance("default")
    model, changed = _model(base, attention="flex"), [_document(9, 40), *DOCUMENTS[1:]]

    before, after = _logits(model, packed(DOCUMENTS)), _logits(model, packed(changed))

    assert torch.equal(before[40:], after[40:])
    assert not torch.equal(before[:40], after[:40])


def test_recomputed_activations_change_no_gradient(base: Path) -> None:
    gradients = []
    for recomputes in (False, True):
        model = _model(base, activation_checkpointing=recomputes, dropout=0.2)
        model.training(mode=True)
        torch.manual_seed(5)
        summed_loss(model, [packed(DOCUMENTS)]).backward()  # type: ignore[no-untyped-call]
        gradients.append([weight.grad for weight in model.parameters.values() if weight.grad is not None])

    assert len(gradients[0]) == len(gradients[1]) > 0
    assert all(torch.equal(one, two) for one, two in zip(*gradients, strict=True))


def test_recomputed_activations_are_not_kept(base: Path) -> None:
    kept = []
    for recomputes in (False, True):
        model = _model(base, activation_checkpointing=recomputes)
        model.training(mode=True)
        sizes: list[int] = []

        def keep(tensor: torch.Tensor, sizes: list[int] = sizes) -> torch.Tensor:
            sizes.append(tensor.nbytes)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            summed_loss(model, [packed(DOCUMENTS)])
        kept.append(sum(sizes))

    assert kept[1] < 0.2 * kept[0]


@pytest.mark.parametrize(
    ("choices", "gpus", "said"),
    [
        ({}, (), "gpusPerNode is 1 and this machine has 0 GPUs; use a recipe for that"),
        ({"gpus_per_node": 4, "parallel": "ddp"}, (H100,) * 2, "gpusPerNode is 4 and this machine has 2 GPUs"),
        ({"gpus_per_node": 0, "gpu_memory_fraction": 0.5}, (), "gpuMemoryFraction caps a GPU's memory"),
        ({"gpus_per_node": 0, "attention": "flex"}, (), "attention flex has no backward pass on the CPU"),
        ({"precision": "bf16"}, (H100, T4), r"bf16 and Tesla T4 \(compute capability 7.5\) do not fit; use fp16"),
        ({"precision": "fp16", "attention": "flash"}, (T4,), "attention flash and Tesla T4 .* use sdpa"),
        ({"precision": "bf16", "attention": "flash"}, (H100,), "needs the package flash-attn, which is not installed"),
    ],
)
def test_a_recipe_for_hardware_that_is_not_there_is_refused(
    choices: dict[str, object], gpus: tuple[tuple[str, tuple[int, int]], ...], said: str
) -> None:
    recipe = Recipe.model_validate({"batch_rows": 8, **choices})

    with pytest.raises(BadInput, match=said):
        refuse_absent_hardware(recipe, Hardware(gpus))


@pytest.mark.parametrize(
    ("choices", "gpus"),
    [
        ({"gpus_per_node": 0}, ()),
        ({"gpus_per_node": 0, "precision": "bf16"}, (T4,)),
        ({"precision": "fp16", "gpu_memory_fraction": 0.5}, (T4,)),
        ({"precision": "bf16", "attention": "flash"}, (H100,)),
    ],
)
def test_a_recipe_for_the_hardware_at_hand_is_taken(
    choices: dict[str, object], gpus: tuple[tuple[str, tuple[int, int]], ...]
) -> None:
    refuse_absent_hardware(Recipe.model_validate(choices), Hardware(gpus, has_flash=True))


def test_a_stand_in_for_a_cluster_runs_a_recipe_for_gpus_without_any() -> None:
    refuse_absent_hardware(Recipe(), Hardware(is_stand_in=True))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_this_machine_is_asked_when_none_is_named() -> None:
    assert Hardware.here() == Hardware((), has_flash=find_spec("flash_attn") is not None)
    with pytest.raises(BadInput, match="this machine has 0 GPUs"):
        refuse_absent_hardware(Recipe())
