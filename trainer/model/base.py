"""The base model: a verified local folder of safetensors, loaded offline. The only module that imports transformers.

Nothing in the folder is ever run: no remote code, no pickle, no `auto_map`.
"""

import hashlib
import json
import os
from pathlib import Path

# Read when the libraries are first imported: they must never ask a hub, not even for a version.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
from transformers import AutoModelForCausalLM
from transformers.utils import logging as transformers_logging

from trainer import storage
from trainer.contract.bucket import MANIFEST
from trainer.contract.job import TrainingJob
from trainer.outcomes import BadInput
from trainer.publishing.manifest import Incomplete

_EXECUTABLE = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".py", ".so"}
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def fetch(job: TrainingJob, work: Path) -> Path:
    """A verified local folder of the job's base model. Raises BadInput when it is another or holds code."""
    try:
        folder = storage.fetch_folder(job.base, work / "base", digest=job.base_digest)
    except Incomplete as error:
        raise BadInput(f"base model: {error}; name a folder of the catalogue") from error
    refuse_code(folder)
    return folder


def digest(folder: Path) -> str:
    """What names the base model: the sha256 of its manifest."""
    return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()


def refuse_code(folder: Path) -> None:
    """Raise BadInput when loading the folder could run code."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in _EXECUTABLE:
            raise BadInput(
                f"{path}: is {path.suffix}, which may run code when it is loaded; keep safetensors and JSON only"
            )
        if path.suffix == ".json" and path.name.endswith("config.json"):
            document = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(document, dict) and "auto_map" in document:
                raise BadInput(f"{path}: names code of its own (auto_map); remove the key or use another base model")


def load(folder: Path, *, precision: str) -> torch.nn.Module:
    """The model on the device at hand, in evaluation mode, its weights frozen. The file is mapped, not read."""
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    model: torch.nn.Module = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=_DTYPES[precision],
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
        attn_implementation="sdpa",
    )
    return model.requires_grad_(requires_grad=False).eval().to(device())


def device() -> torch.device:
    """The GPU when there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
