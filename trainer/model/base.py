"""The base model: a verified local folder of safetensors, loaded offline. The only module that imports transformers.

Nothing in the folder is ever run: no remote code, no pickle, no `auto_map`.
"""

import hashlib
import json
import logging
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Read when the libraries are first imported: they must never ask a hub, not even for a version.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, BitsAndBytesConfig
from transformers.utils import logging as transformers_logging

from trainer.contract.bucket import MANIFEST
from trainer.contract.job import TrainingJob
from trainer.contract.recipe import Attention, Precision
from trainer.model.precision import DTYPES
from trainer.model.source import fetched
from trainer.outcomes import BadInput
from trainer.publishing.executable import WEIGHTS, may_run

_ADAPTER = "adapter_config.json"  # read by transformers, which then loads the base that it names
_LARGEST_HEADER = 16 << 20  # bytes; a model of 100,000 tensors needs 12 MB
_LONGEST_REASON = 300  # characters of what a library says
_KERNELS: Mapping[Attention, str] = {
    "eager": "eager",
    "sdpa": "sdpa",
    "flex": "flex_attention",
    "flash": "flash_attention_2",
}


def fetch(job: TrainingJob, work: Path) -> Path:
    """A verified local folder of the job's base model. Raises BadInput when it is another or holds code."""
    folder = fetched(job, work)
    refuse_code(folder)
    return folder


def digest(folder: Path) -> str:
    """What names the base model: the sha256 of its manifest."""
    return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()


def refuse_code(folder: Path) -> None:
    """Raise BadInput when loading the folder could run code, or take memory without bound."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        suffix = path.suffix.lower()
        if may_run(path):
            raise BadInput(f"{path}: may run code when it is loaded; keep safetensors and JSON only")
        if path.name == _ADAPTER:
            raise BadInput(f"{path}: makes the library load another model; merge that adapter, or leave the file out")
        if suffix == ".json" and path.name.endswith("config.json"):
            document = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(document, dict) and "auto_map" in document:
                raise BadInput(f"{path}: names code of its own (auto_map); remove the key or use another base model")
        if suffix == WEIGHTS:
            _refuse_large_header(path)


def _refuse_large_header(path: Path) -> None:
    """The first eight bytes of a safetensors file are the length of the JSON that follows, little-endian."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if length > min(_LARGEST_HEADER, path.stat().st_size - 8):
        raise BadInput(
            f"{path}: states a header of {length} bytes; at most {_LARGEST_HEADER} are read, and no more than the file"
            " has; write the file again"
        )


def load(
    folder: Path,
    *,
    precision: Precision,
    attention: Attention = "sdpa",
    four_bit: bool = False,
    device: torch.device | None = None,
) -> torch.nn.Module:
    """The model on `device` (None: the one at hand), in evaluation mode, its weights frozen.

    The file is mapped, not read. four_bit: the layers' matrices in NF4 with double quantisation, quantised while they
    are loaded and computed with in `precision`; embeddings, norms and the output layer keep `precision`.

    Raises BadInput when the folder holds no model of the form the trainer knows, or not each of its weights and no
    other: the library would draw what is absent at random.
    """
    _quiet()
    place = device or this_device()
    with _faults_of(folder):
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=DTYPES[precision],
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # they are refused below, by name
            output_loading_info=True,
            attn_implementation=_KERNELS[attention],
            **({"quantization_config": _nf4(precision), "device_map": {"": place}} if four_bit else {}),
        )
    model, found = loaded
    _refuse_other_weights(folder, found)
    if not (hasattr(model, "model") and hasattr(model, "lm_head")):
        raise BadInput(f"{folder}: {type(model).__name__} has another form than Llama's; use another base model")
    ready: torch.nn.Module = model.requires_grad_(requires_grad=False).eval().to(place)
    return ready


@contextmanager
def _faults_of(folder: Path) -> Iterator[None]:
    """What the library raises of a folder that it cannot use, as BadInput; memory, disk and GPU have other remedies."""
    try:
        yield
    except (torch.OutOfMemoryError, torch.AcceleratorError):
        raise
    except (
        OSError,
        SafetensorError,
        ValueError,
        RuntimeError,
        ImportError,
        KeyError,
        TypeError,
        AttributeError,
    ) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = " ".join(str(error).split())[:_LONGEST_REASON] or type(error).__name__
        raise BadInput(f"base model: {folder} cannot be loaded ({reason}); use another base model") from error


def _refuse_other_weights(folder: Path, found: Mapping[str, Collection[Any]]) -> None:
    """found: names by fault; of a weight of another size its name, its size and the one it should have."""
    for fault, names in (
        ("has a size that config.json does not say", [name for name, *_ in found["mismatched_keys"]]),
        ("is in config.json's model and not in the files", found["missing_keys"]),
        ("is in the files and not in config.json's model", found["unexpected_keys"]),
    ):
        if names:
            raise BadInput(
                f"base model: {folder}: weight {min(names)} {fault}, as {len(names)} in all; fetch the model again,"
                " or use another base model"
            )


def _quiet() -> None:
    """No bars for files of a folder on this machine, and no advice to fetch kernels from a hub."""
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]


def _nf4(precision: Precision) -> BitsAndBytesConfig:
    """Source: QLoRA (Dettmers et al. 2023): normal-float 4 bit, the blocks' scales quantised once more."""
    return BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=DTYPES[precision],
    )


def this_device() -> torch.device:
    """The GPU when there is one, else the CPU."""
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


def recompute_activations(model: torch.nn.Module) -> None:
    """Keep only what enters each layer; the rest is computed again in the backward pass, with the same dropout."""
    model.activation_checkpointing_enable({"use_reentrant": False})  # type: ignore[operator]
