"""A Llama-shaped model folder as one GGUF file, in f16. Other architectures and tokenizers are refused by name.

Source of the layout: llama.cpp's conversion of Llama models (convert_hf_to_gguf.py): its names of tensors, query and
key rows with each head's two halves interleaved, vectors in f32.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.outcomes import BadInput

_ARCHITECTURE = "LlamaForCausalLM"
_OUTER = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
_INNER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_NORMAL, _CONTROL = 1, 3  # GGUF's kinds of tokens
Floats = npt.NDArray[np.floating[Any]]


def write_gguf(folder: Path, path: Path, *, name: str, licence: str | None = None) -> dict[str, Any]:
    """Write the file; what a manifest says of it. Raises BadInput when the model's form is none that is known here.

    licence: of the base model.
    """
    import gguf

    config = _read(folder / "config.json")
    tokenizer, settings = _read(folder / "tokenizer.json"), _read(folder / "tokenizer_config.json")
    _refuse_other_shapes(config, folder)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(name)
    if licence is not None:
        writer.add_license(licence)
    _add_shape(writer, config)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    _add_tokenizer(writer, tokenizer, settings, vocabulary=config["vocab_size"])
    number = 0
    for number, (tensor, values) in enumerate(_tensors(folder, config), start=1):  # noqa: B007 - the last is the count
        writer.add_tensor(tensor, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return {"file": path.name, "precision": "f16", "tensors": number}


def _refuse_other_shapes(config: Mapping[str, Any], folder: Path) -> None:
    found = (config.get("architectures") or ["none"])[0]
    if found != _ARCHITECTURE:
        raise BadInput(f"exports: gguf is written for {_ARCHITECTURE} and {folder.name} is {found}; leave gguf out")
    scaling = config.get("rope_scaling") or config.get("rope_parameters") or {}
    if scaling.get("rope_type", scaling.get("type", "default")) != "default":
        raise BadInput(f"exports: gguf is not written for scaled positions (rope_scaling {scaling}); leave gguf out")
    if config.get("attention_bias") or config.get("mlp_bias"):
        raise BadInput("exports: gguf is not written for layers with biases; leave gguf out")


def _add_shape(writer: Any, config: Mapping[str, Any]) -> None:
    heads = config["num_attention_heads"]
    rope = config.get("rope_parameters") or {}
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.get("num_key_value_heads") or heads)
    writer.add_rope_dimension_count(config.get("head_dim") or config["hidden_size"] // heads)
    writer.add_rope_freq_base(config.get("rope_theta") or rope.get("rope_theta") or 10_000.0)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])


def _add_tokenizer(writer: Any, tokenizer: Mapping[str, Any], settings: Mapping[str, Any], *, vocabulary: int) -> None:
    """Byte-level BPE: the words in order of their numbers, the merges in order of their rank."""
    model = tokenizer["model"]
    if model.get("type") != "BPE" or model.get("byte_fallback"):
        raise BadInput("exports: gguf is written for byte-level BPE tokenizers alone; leave gguf out")
    added = {token["content"]: token["id"] for token in tokenizer.get("added_tokens", [])}
    numbers = {**model["vocab"], **added}
    words = {number: text for text, number in numbers.items()}
    controls = {token["id"] for token in tokenizer.get("added_tokens", []) if token.get("special")}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_splitting(tokenizer.get("pre_tokenizer") or {}))
    writer.add_token_list([words.get(number, f"[PAD{number}]") for number in range(vocabulary)])
    writer.add_token_types([_CONTROL if number in controls else _NORMAL for number in range(vocabulary)])
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]])
    kinds = (("bos", writer.add_bos_token_id), ("eos", writer.add_eos_token_id), ("pad", writer.add_pad_token_id))
    for kind, add in (*kinds, ("unk", writer.add_unk_token_id)):
        text = settings.get(f"{kind}_token")
        text = text.get("content") if isinstance(text, dict) else text
        if text in numbers:
            add(numbers[text])
    if template := settings.get("chat_template"):
        writer.add_chat_template(template)


def _splitting(pre_tokenizer: Mapping[str, Any]) -> str:
    """llama.cpp's name for how text is split before the merges. Raises BadInput for a way that is not known here."""
    parts = pre_tokenizer.get("pretokenizers", [pre_tokenizer])
    kinds = [part.get("type") for part in parts]
    if kinds == ["Digits", "ByteLevel"] and parts[0].get("individual_digits"):
        return "smollm"
    if kinds == ["ByteLevel"]:
        return "gpt-2"
    if kinds == ["Split", "ByteLevel"] and r"\p{N}{1,3}" in json.dumps(parts[0]).replace("\\\\", "\\"):
        return "llama-bpe"
    raise BadInput(f"exports: gguf does not know how this tokenizer splits text ({kinds}); leave gguf out")


def _tensors(folder: Path, config: Mapping[str, Any]) -> Iterator[tuple[str, Floats]]:
    """Each tensor under GGUF's name: matrices f16, vectors f32."""
    import torch
    from safetensors import safe_open

    query = config["num_attention_heads"]
    heads = {"attn_q": query, "attn_k": config.get("num_key_value_heads") or query}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in sorted(file.keys()):
                values = file.get_tensor(name).to(torch.float32).numpy()
                part = name.removesuffix(".weight")
                new = _OUTER.get(part)
                if new is None:
                    _, _, layer, inner = part.split(".", 3)
                    kind = _INNER[inner]
                    values = _interleaved(values, heads[kind]) if kind in heads else values
                    new = f"blk.{layer}.{kind}"
                yield f"{new}.weight", values if values.ndim == 1 else values.astype(np.float16)


def _interleaved(values: Floats, heads: int) -> Floats:
    """Rows of each head from two halves to interleaved pairs, the order that rotary embeddings expect there."""
    halves = values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:])
    return halves.swapaxes(1, 2).reshape(values.shape)


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise BadInput(f"exports: gguf needs {path.name}, which the model does not have; leave gguf out") from error
