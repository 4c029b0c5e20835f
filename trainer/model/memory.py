"""What a training will take of one GPU's memory, by part, from the shape of the base model and the recipe alone.

An estimate: the sum of what has to be there at once in the backward pass. Imports no torch.
"""

from dataclasses import dataclass, fields

from trainer.contract.recipe import Recipe
from trainer.model.shape import Shape

_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}
_SINGLE = _BYTES["fp32"]
_NF4 = 0.5 + (1 + 4 / 256) / 64  # a weight; the scale of its block of 64; the scale of 256 scales
_ADAMW = {"adamw": 8.0, "adamw-8bit": 2 + 2 * 4 / 256, "paged-adamw-8bit": 2 + 2 * 4 / 256}  # two states of a weight
_LABELLED = 128  # places whose logits stand in memory at once (loss.py)
_CONTEXT = 1 << 30  # CUDA's own and its allocator's, or on the CPU the libraries'


@dataclass(frozen=True)
class Memory:
    """Bytes per rank. weights: of the base model. trained: fp32 weights beside it, or in its place."""

    weights: int
    trained: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    context: int = _CONTEXT

    @property
    def total(self) -> int:
        return sum(getattr(self, field.name) for field in fields(self))


def memory(shape: Shape, recipe: Recipe, *, ranks: int = 1) -> Memory:
    """Of one of `ranks`. Raises BadInput when the recipe's targets are no matrices of the base model."""
    size = _BYTES[recipe.precision]
    trained = trained_parameters(shape, recipe)
    shares = ranks if recipe.parallel == "fsdp2" else 1
    held = _held(shape, recipe)
    largest = max(inputs * outputs for inputs, outputs in shape.matrices.values())
    working = size * largest if recipe.method == "qlora" else 0  # one matrix with its bits unpacked
    if shares > 1:
        working = size * shape.matrix_parameters // shape.layers * 2  # a layer gathered, and the next one
    return Memory(
        weights=held // shares + working,
        trained=_SINGLE * trained // shares,
        gradients=_SINGLE * trained // shares,
        optimizer=int(_ADAMW[recipe.optimizer] * trained) // shares,
        activations=_activations(shape, recipe),
        logits=_LABELLED * shape.vocabulary * (size + 3 * _SINGLE),  # and as fp32, as probabilities, as gradients
    )


def trained_parameters(shape: Shape, recipe: Recipe) -> int:
    """Raises BadInput when the recipe's targets are no matrices of the base model."""
    if recipe.method == "full":
        return shape.parameters
    return shape.adapter_parameters(recipe.targets, rank=recipe.rank, dora=recipe.dora)


def _held(shape: Shape, recipe: Recipe) -> int:
    """Bytes of the base model beside what is trained."""
    size = _BYTES[recipe.precision]
    if recipe.method == "full":  # autocast keeps a copy of each matrix in the lower precision
        return size * (shape.matrix_parameters + shape.vocabulary * shape.hidden) if size < _SINGLE else 0
    if recipe.method == "qlora":
        return int(_NF4 * shape.matrix_parameters) + size * (shape.parameters - shape.matrix_parameters)
    return size * shape.parameters


def _activations(shape: Shape, recipe: Recipe) -> int:
    """Of the rows that go through the model at a time: of all layers, or of one and what enters the others."""
    tokens = recipe.micro_rows * recipe.width
    stream = _SINGLE if recipe.method == "full" else _BYTES[recipe.precision]
    layer = _activations_of_a_layer(shape, recipe)
    if recipe.activation_checkpointing:
        return tokens * (shape.layers * stream * shape.hidden + layer)
    return tokens * shape.layers * layer


def _activations_of_a_layer(shape: Shape, recipe: Recipe) -> int:
    """Bytes per token that the backward pass asks for: inputs of norms, of trained matrices, of attention, of gates."""
    size, queries = _BYTES[recipe.precision], shape.heads * shape.head
    norms = 2 * _SINGLE * shape.hidden * (2 if recipe.method == "full" else 1)
    seen = {
        "eager": shape.heads * recipe.width * (_SINGLE + (size if size < _SINGLE else 0)),  # weights of attention
        "sdpa": size * recipe.width if recipe.gpus else 0,  # the mask that keeps documents apart; a CPU keeps one
        "flex": 0,
        "flash": 0,
    }[recipe.attention]
    attention = size * 4 * queries + seen  # q, k and v for each head, and what comes out
    gates = size * 3 * shape.intermediate
    return norms + _inputs(shape, recipe) + attention + gates


def _inputs(shape: Shape, recipe: Recipe) -> int:
    """Of the matrices that are trained or adapted: each its own copy where precision or dropout makes one."""
    size = _BYTES[recipe.precision]
    targets = ("all-linear",) if recipe.method == "full" else recipe.targets
    adapted = {name: inputs for name, (inputs, _) in shape.adapted(targets).items()}
    if size == _SINGLE and recipe.dropout == 0:  # q, k and v share theirs, and so do gate and up
        shared = {
            name.replace("k_", "q_").replace("v_", "q_").replace("up_", "gate_"): n for name, n in adapted.items()
        }
        return size * sum(shared.values())
    kept = (1 if recipe.gpus else _SINGLE) if recipe.dropout and recipe.method != "full" else 0  # what dropout left
    return sum(adapted.values()) * (size + kept)
