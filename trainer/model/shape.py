"""Shape of a base model, from its config.json alone: how many weights it has, and where. Imports no torch."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.outcomes import BadInput

CONFIG = "config.json"
_FAMILIES = {"llama", "mistral", "qwen2", "qwen3"}  # model types whose layers have the form below


@dataclass(frozen=True)
class Shape:
    """A decoder of the Llama form: attention with q, k, v, o and a gated feed-forward of gate, up, down.

    vectors: weights of one layer that are in no matrix, beside its two norms.
    """

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head: int
    vocabulary: int
    context: int
    tied: bool
    vectors: int

    @classmethod
    def of(cls, config: dict[str, Any]) -> "Shape | None":
        """None for a model of another form, of which nothing can be said beforehand."""
        needed = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size")
        family = config.get("model_type")
        if family not in _FAMILIES or any(not isinstance(config.get(name), int) for name in needed):
            return None
        heads, hidden = config["num_attention_heads"], config["hidden_size"]
        kv_heads, head = config.get("num_key_value_heads") or heads, config.get("head_dim") or hidden // heads
        projected = (heads + 2 * kv_heads) * head
        vectors = projected if family == "qwen2" else 2 * head if family == "qwen3" else 0  # biases; norms of q and k
        if config.get("attention_bias"):
            vectors = projected + hidden
        if config.get("mlp_bias"):
            vectors += 2 * config["intermediate_size"] + hidden
        return cls(
            layers=config["num_hidden_layers"],
            hidden=hidden,
            intermediate=config["intermediate_size"],
            heads=heads,
            kv_heads=kv_heads,
            head=head,
            vocabulary=config["vocab_size"],
            context=config.get("max_position_embeddings") or 0,
            tied=bool(config.get("tie_word_embeddings", False)),
            vectors=vectors,
        )

    @property
    def matrices(self) -> dict[str, tuple[int, int]]:
        """Inputs and outputs of the matrices of one layer, by module name."""
        queries, keys = self.heads * self.head, self.kv_heads * self.head
        return {
            "q_proj": (self.hidden, queries),
            "k_proj": (self.hidden, keys),
            "v_proj": (self.hidden, keys),
            "o_proj": (queries, self.hidden),
            "gate_proj": (self.hidden, self.intermediate),
            "up_proj": (self.hidden, self.intermediate),
            "down_proj": (self.intermediate, self.hidden),
        }

    @property
    def matrix_parameters(self) -> int:
        """Weights of the layers' matrices: those that 4-bit precision holds in half a byte."""
        return self.layers * sum(inputs * outputs for inputs, outputs in self.matrices.values())

    @property
    def parameters(self) -> int:
        embeddings = self.vocabulary * self.hidden * (1 if self.tied else 2)
        norms = (2 * self.layers + 1) * self.hidden
        return self.matrix_parameters + embeddings + norms + self.layers * self.vectors

    def adapted(self, targets: tuple[str, ...]) -> dict[str, tuple[int, int]]:
        """The matrices of one layer that get an adapter. Raises BadInput when a target is none of them."""
        if targets == ("all-linear",):
            return self.matrices
        if unknown := [name for name in targets if name not in self.matrices]:
            known = ", ".join(self.matrices)
            raise BadInput(f"recipe targets: {unknown[0]!r} is no matrix of the base model; use all-linear, or {known}")
        return {name: self.matrices[name] for name in targets}

    def adapter_parameters(self, targets: tuple[str, ...], *, rank: int, dora: bool = False) -> int:
        """Each matrix of n inputs and m outputs gets n x rank and rank x m weights; DoRA a length per output more."""
        sizes = self.adapted(targets).values()
        return self.layers * sum(rank * (inputs + outputs) + dora * outputs for inputs, outputs in sizes)


def config_of(folder: Path) -> dict[str, Any]:
    """config.json of a base model folder. Raises BadInput when it has none."""
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{folder / CONFIG}: cannot be read ({error}); use a base model of the catalogue") from error
    if not isinstance(config, dict):
        raise BadInput(f"{folder / CONFIG}: holds no mapping; use a base model of the catalogue")
    return config


def refuse_unusable(config: Mapping[str, Any], where: str) -> None:
    """Raise BadInput when config.json alone says that the model cannot be trained. where: the folder, for the text."""
    if not isinstance(config.get("model_type"), str):
        raise BadInput(f"base model: {where}/{CONFIG} names no model_type; use a base model of the catalogue")
    if (quantised := config.get("quantization_config")) is not None:
        how = quantised.get("quant_method") if isinstance(quantised, dict) else quantised
        raise BadInput(
            f"base model: {where}/{CONFIG} says that its weights are quantised ({how}); use the model's whole weights:"
            " method qlora quantises them itself"
        )


def refuse_short_context(folder: Path, width: int) -> None:
    """Raise BadInput when rows of `width` tokens could hold a document that the base model has no positions for."""
    refuse_wide_rows(width, context_of(config_of(folder)))


def context_of(config: Mapping[str, Any]) -> int | None:
    """Positions that config.json states; None where it states none."""
    context = config.get("max_position_embeddings")
    return context if isinstance(context, int) else None


def refuse_wide_rows(width: int, context: int | None) -> None:
    """The same, of a context that is known; nothing where it is not."""
    if context is not None and width > context:
        raise BadInput(
            f"recipe width: {width} tokens are more than the base model's context of {context}; use a recipe of at most"
            f" {context}"
        )
