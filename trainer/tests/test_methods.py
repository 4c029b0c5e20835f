import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file

from trainer.contract.recipe import Recipe
from trainer.contract.report import Report
from trainer.contract.steps import Exit
from trainer.data.masks import Document
from trainer.data.packing import PackedRow, packed
from trainer.model.adapter import WEIGHTS, Adapted
from trainer.model.base import load
from trainer.model.loss import summed_loss
from trainer.model.making import tuned
from trainer.model.optimizers import optimizer, put_slots, slots
from trainer.model.precision import computing
from trainer.model.shape import Shape, config_of
from trainer.model.tuned import Tuned
from trainer.model.whole import WEIGHTS as WHOLE_WEIGHTS
from trainer.outcomes import BadInput
from trainer.pipeline import run_step
from trainer.publishing.manifest import sha256_of, verify
from trainer.sinks import Sinks
from trainer.tests.conftest import MakeSettings
from trainer.tests.dying import Death, train

FACTS = {"baseDigest": "0" * 64}
METHODS: dict[str, dict[str, Any]] = {
    "lora": {},
    "rslora": {"rslora": True},
    "dora": {"dora": True},
    "qlora": {"method": "qlora"},
    "qlora with dora": {"method": "qlora", "dora": True},
    "full": {"method": "full"},
}
OPTIMIZERS = ("adamw", "adamw-8bit", "paged-adamw-8bit")


def _recipe(**choices: Any) -> Recipe:
    return Recipe.model_validate({"gpus_per_node": 0, "rank": 4, "alpha": 8, "width": 96, **choices})


def _row(seed: int, length: int = 30) -> PackedRow:
    ids = np.random.default_rng(seed).integers(3, 500, length).astype(np.int32)
    return packed([Document(seed, ids, np.ones(length, dtype=np.bool_))])


def _train(model: Tuned, made: torch.optim.Optimizer, recipe: Recipe, rows: list[PackedRow]) -> list[float]:
    """Loss per label before each of the steps, one row each."""
    model.training(mode=True)
    losses = []
    for number, row in enumerate(rows):
        torch.manual_seed(number)
        with computing(recipe.precision, torch.device("cpu")):
            loss = summed_loss(model, [row]) / row.labelled
        loss.backward()  # type: ignore[no-untyped-call]
        for group in made.param_groups:
            group["lr"] = 0.01
        made.step()
        made.zero_grad()
        losses.append(float(loss.detach()))
    return losses


def _trained(base: Path, recipe: Recipe, steps: int = 4) -> Tuned:
    model = tuned(base, recipe, seed=1)
    _train(model, optimizer(model.parameters, recipe), recipe, [_row(0)] * steps)
    model.training(mode=False)
    return model


@torch.no_grad()
def _logits(causal: Any) -> torch.Tensor:
    logits: torch.Tensor = causal(torch.arange(3, 40)[None]).logits.float()
    return logits


@pytest.mark.parametrize(
    ("method", "precision"), [*((method, "bf16") for method in METHODS), ("lora", "fp16"), ("qlora", "fp16")]
)
def test_every_method_learns_below_fp32(base: Path, method: str, precision: str) -> None:
    recipe = _recipe(**METHODS[method], precision=precision)
    model = tuned(base, recipe, seed=1)

    losses = _train(model, optimizer(model.parameters, recipe), recipe, [_row(0)] * 5)

    assert losses == sorted(losses, reverse=True)
    assert {weight.dtype for weight in model.parameters.values()} == {torch.float32}


@pytest.mark.parametrize(
    ("method", "name"), [*((method, "adamw") for method in METHODS), *(("qlora", name) for name in OPTIMIZERS[1:])]
)
def test_a_model_and_optimizer_put_back_go_on_to_the_same_bytes(base: Path, method: str, name: str) -> None:
    recipe = _recipe(**METHODS[method], optimizer=name, rank=64, dropout=0.1)
    rows = [_row(number) for number in range(3)]
    straight = tuned(base, recipe, seed=1)
    made = optimizer(straight.parameters, recipe)
    _train(straight, made, recipe, rows[:2])
    weights, states = straight.state(), slots(made, straight.parameters)
    _train(straight, made, recipe, rows)

    again = tuned(base, recipe, seed=2)
    again.load_state(weights)
    put_slots(made := optimizer(again.parameters, recipe), again.parameters, states)
    _train(again, made, recipe, rows)

    expected, found = straight.state(), again.state()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert len({name.rsplit(".", 1)[1] for name in states}) >= 3


@pytest.mark.parametrize("name", OPTIMIZERS[1:])
def test_eight_bit_states_take_a_quarter_of_the_memory(base: Path, name: str) -> None:
    sizes = []
    for kind in ("adamw", name):
        recipe = _recipe(optimizer=kind, rank=128)  # smaller matrices keep fp32 states
        model = tuned(base, recipe, seed=0)
        _train(model, made := optimizer(model.parameters, recipe), recipe, [_row(0)])
        sizes.append(sum(state.nbytes for state in slots(made, model.parameters).values()))

    assert sizes[1] < 0.27 * sizes[0]


@pytest.mark.requirement("C61", "E85")
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft's
@pytest.mark.parametrize("method", ["rslora", "dora", "qlora"])
def test_an_adapter_loads_into_the_unquantised_base_with_peft_alone(base: Path, tmp_path: Path, method: str) -> None:
    model = _trained(base, _recipe(**METHODS[method]))
    model.save(tmp_path / "adapter", FACTS)

    plain: Any = PeftModel.from_pretrained(load(base, precision="fp32"), tmp_path / "adapter")

    ours, alone = _logits(model.causal), _logits(load(base, precision="fp32"))
    slack = 0.1 if method == "qlora" else 1e-5  # the base's four bits differ from its 32
    assert float((_logits(plain) - ours).norm() / ours.norm()) < slack
    assert not torch.allclose(_logits(plain), alone, atol=1e-2)


@pytest.mark.requirement("C61", "E85")
@pytest.mark.parametrize(
    "choices", [{}, {"targets": ("q_proj", "v_proj")}, {"dora": True}, {"method": "qlora"}], ids=str
)
def test_an_adapter_is_as_large_as_rank_and_shapes_say(base: Path, tmp_path: Path, choices: dict[str, Any]) -> None:
    shape = Shape.of(config_of(base))
    assert shape is not None
    model = tuned(base, recipe := _recipe(**choices), seed=0)
    model.save(tmp_path / "adapter", FACTS)

    expected = shape.adapter_parameters(recipe.targets, rank=4, dora=recipe.dora)

    assert sum(weight.numel() for weight in model.parameters.values()) == expected
    assert model.total_parameters == shape.parameters + expected
    assert sum(tensor.nbytes for tensor in load_file(tmp_path / "adapter" / WEIGHTS).values()) == 4 * expected


@pytest.mark.requirement("C50")
def test_four_bit_matrices_take_a_quarter_of_bf16_and_an_eighth_of_fp32(base: Path) -> None:
    sizes = {}
    models: dict[str, Any] = {
        "fp32": load(base, precision="fp32"),
        "bf16": load(base, precision="bf16"),
        "nf4": load(base, precision="bf16", four_bit=True),
    }
    for name, model in models.items():
        matrices = [layer for layer in model.model.layers.modules() if isinstance(layer, torch.nn.Linear)]
        sizes[name] = sum(_bytes(matrix.weight) for matrix in matrices)

    assert sizes["nf4"] < 0.27 * sizes["bf16"]
    assert sizes["nf4"] < 0.135 * sizes["fp32"]


def _bytes(weight: Any) -> int:
    """Of a weight, with the scales of its blocks, and their own."""
    scales = getattr(weight, "quant_state", None)
    if scales is None:
        return int(weight.nbytes)
    return int(weight.nbytes + scales.absmax.nbytes + scales.state2.absmax.nbytes)


def test_a_fully_tuned_model_loads_by_itself_in_the_precision_of_its_base(base: Path, tmp_path: Path) -> None:
    model = _trained(base, _recipe(method="full"))

    digest = model.save(tmp_path / "adapter", FACTS)

    assert torch.equal(_logits(load(tmp_path / "adapter", precision="fp32")), _logits(model.causal))
    assert digest == sha256_of(tmp_path / "adapter" / WHOLE_WEIGHTS)
    assert verify(tmp_path / "adapter")["baseDigest"] == FACTS["baseDigest"]
    again = tuned(base, _recipe(method="full"), seed=0)
    again.load(tmp_path / "adapter")
    assert torch.equal(_logits(again.causal), _logits(model.causal))


def test_a_fully_tuned_model_has_no_base_to_fall_back_on(base: Path) -> None:
    with pytest.raises(NotImplementedError, match="measure the base before"):
        tuned(base, _recipe(method="full"), seed=0).without()


def test_a_saved_adapter_comes_back_bit_for_bit(base: Path, tmp_path: Path) -> None:
    model = _trained(base, _recipe(dora=True))
    model.save(tmp_path / "adapter", FACTS)
    again = tuned(base, _recipe(dora=True), seed=9)

    again.load(tmp_path / "adapter")

    assert torch.equal(_logits(again.causal), _logits(model.causal))


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"rank": 8}, r"has shape \[4, 128\], expected \[8, 128\]"),
        ({"targets": ["q_proj"]}, "is no weight of this base model and recipe"),
        ({"dora": True}, "is trained here and not there"),
    ],
)
def test_an_adapter_of_another_recipe_is_refused(
    base: Path, tmp_path: Path, choices: dict[str, Any], said: str
) -> None:
    tuned(base, _recipe(), seed=0).save(tmp_path / "adapter", FACTS)

    with pytest.raises(BadInput, match=said):
        tuned(base, _recipe(**choices), seed=0).load(tmp_path / "adapter")


def test_targets_that_the_base_lacks_are_refused(base: Path) -> None:
    with pytest.raises(BadInput, match=r"recipe targets \['c_attn'\].*name modules of the base model"):
        tuned(base, _recipe(targets=["c_attn"]), seed=0)


def test_rows_beyond_the_base_models_context_are_refused(base: Path) -> None:
    with pytest.raises(BadInput, match="recipe width: 4096 tokens are more than the base model's context of 2048"):
        tuned(base, _recipe(width=4096), seed=0)


@pytest.mark.model
def test_a_killed_qlora_training_goes_on_to_the_same_adapter(make_settings: MakeSettings, recipes: Path) -> None:
    (recipes / "toy-qlora.yaml").write_text((recipes / "toy.yaml").read_text() + "method: qlora\n")
    reports = []
    for name, deaths in {"straight": [Death()], "killed": [Death("step", 3, signal.SIGKILL), Death()]}.items():
        settings = make_settings(name, recipe="toy-qlora")
        run_step("prepare", settings, Sinks())
        codes = [train(settings, recipes, death) for death in deaths]
        assert codes[-1] == Exit.DONE
        reports.append(Report.model_validate(json.loads((Path(settings.attempt_url) / "report.json").read_text())))

    assert reports[1].resumed_from == 2
    assert reports[0].adapter_digest == reports[1].adapter_digest
    assert reports[0].trainable_parameters < 0.2 * reports[0].total_parameters


def test_an_empty_adapter_file_is_refused(base: Path, tmp_path: Path) -> None:
    model = tuned(base, _recipe(), seed=0)
    assert isinstance(model, Adapted)
    model.save(tmp_path / "adapter", FACTS)
    save_file({}, tmp_path / "adapter" / WEIGHTS)

    with pytest.raises(BadInput, match="is trained here and not there"):
        model.load(tmp_path / "adapter")
