"""One training each of our loop and of TRL's SFTTrainer over the same documents, measured in this process.

Only this module imports TRL. Both get the same base model, the same first adapter (drawn by peft from one seed), the
same order of documents, AdamW, a cosine without warm-up from one learning rate, and one norm to clip gradients to.
"""

import logging
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from bench.memory import forget_peak, peak
from trainer.contract.recipe import Precision, Recipe
from trainer.data.batches import Batches
from trainer.data.masks import Document
from trainer.data.packing import PackedRow, rows_of
from trainer.durability.checkpoint import Snapshot
from trainer.durability.interruption import Interruption
from trainer.loop import Training
from trainer.model.making import tuned
from trainer.model.precision import DTYPES
from trainer.schedule import Plan

SEED = 0
_KERNELS = {"sdpa": "sdpa", "flex": "flex_attention"}


@dataclass(frozen=True)
class Contender:
    """is_ours: our loop. packing: `ours` and `its own`, or None: documents are padded to the longest of a batch."""

    is_ours: bool
    packing: str | None
    recompute: bool = False


CONTENDERS = {
    "ours": Contender(is_ours=True, packing="ours"),
    "ours-recompute": Contender(is_ours=True, packing="ours", recompute=True),
    "ours-padded": Contender(is_ours=True, packing=None),
    "trl-default": Contender(is_ours=False, packing=None, recompute=True),  # gradient checkpointing is on in TRL 1.16
    "trl-padded": Contender(is_ours=False, packing=None),
    "trl-packed": Contender(is_ours=False, packing="its own"),
    "trl-packed-recompute": Contender(is_ours=False, packing="its own", recompute=True),
    "trl-our-rows": Contender(is_ours=False, packing="ours"),
}
# Pairs that train on the same tokens in each step, so that their losses have to agree.
SAME_STEPS = (("ours-padded", "trl-padded"), ("ours", "trl-our-rows"))


@dataclass(frozen=True)
class Setting:
    """What all contenders share. batch: padded documents of a step; rows: packed rows of a step, all in one forward."""

    precision: Precision = "bf16"
    width: int = 512
    batch: int = 4
    rows: int = 1
    learning_rate: float = 1e-3
    rank: int = 16
    attention: Literal["sdpa", "flex"] = "sdpa"
    compile: bool = False
    threads: int = 2

    def recipe(self, contender: Contender) -> Recipe:
        """In our terms."""
        rows = self.rows if contender.packing else self.batch
        return Recipe(
            gpus_per_node=int(torch.cuda.is_available()),
            precision=self.precision,
            attention=self.attention,
            compile=self.compile,
            activation_checkpointing=contender.recompute,
            rank=self.rank,
            alpha=2 * self.rank,
            width=self.width,
            packing=contender.packing is not None,
            micro_rows=rows,
            batch_rows=rows,
            learning_rate=self.learning_rate,
            warmup_steps=0,
        )


@dataclass
class Measured:
    """One run. real and computed: tokens of each step, without and with padding. The first step is not timed."""

    losses: list[float] = field(default_factory=list)
    real: list[int] = field(default_factory=list)
    computed: list[int] = field(default_factory=list)
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_bytes: int = 0
    weights: int = 0
    device: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class _Watch:
    """Time from the end of the first step to the end of the last; what the GPU still works on counts."""

    def __init__(self) -> None:
        self.first: tuple[float, float] | None = None

    def step_is_done(self) -> None:
        if self.first is None:
            self.first = self._now()

    def into(self, measured: Measured) -> Measured:
        seconds, cpu = self._now()
        if self.first is not None:
            measured.seconds, measured.cpu_seconds = seconds - self.first[0], cpu - self.first[1]
        on_gpu = torch.cuda.is_available()
        measured.peak_bytes = torch.cuda.max_memory_allocated() if on_gpu else peak()
        measured.device = torch.cuda.get_device_name() if on_gpu else f"{torch.get_num_threads()} CPU threads"
        return measured

    def _now(self) -> tuple[float, float]:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter(), time.process_time()


def measured(name: str, folder: Path, documents: Sequence[Document], setting: Setting) -> Measured:
    """One pass over the documents. Raises KeyError for a contender that is not there."""
    contender = CONTENDERS[name]
    torch.set_num_threads(setting.threads)
    return (ours if contender.is_ours else trls)(contender, folder, documents, setting=setting)


def ours(contender: Contender, folder: Path, documents: Sequence[Document], *, setting: Setting) -> Measured:
    """The product's loop, as the step `train` calls it but for checkpoints."""
    torch.use_deterministic_algorithms(mode=True, warn_only=torch.cuda.is_available())
    recipe = setting.recipe(contender)
    model, rows = tuned(folder, recipe, seed=SEED), rows_of(documents, recipe)
    if recipe.compile:
        for layer in model.causal.model.layers:
            layer.compile()
    training = Training(model, Plan.of(recipe, len(rows), seed=SEED), Batches(rows, SEED, recipe.epochs))
    told = _Told()
    _forget_peaks()
    training.run(Interruption(), told)
    found = told.watch.into(told.measured)
    found.weights = model.total_parameters
    found.computed = _computed(_in_order(rows), recipe.batch_rows)
    return found


class _Told:
    """The loop's keeper: it keeps nothing."""

    def __init__(self) -> None:
        self.watch, self.measured, self._tokens = _Watch(), Measured(), 0

    def told(self, line: Mapping[str, Any]) -> None:
        self.watch.step_is_done()
        self.measured.losses.append(line["loss"])
        self.measured.real.append(line["tokens"] - self._tokens)
        self._tokens = line["tokens"]

    def save(self, *, best: bool) -> None:
        """No checkpoints: TRL writes none either."""

    def wants_checkpoint(self) -> bool:
        return False

    def is_enough(self) -> bool:
        return False

    def last(self, step: int) -> Snapshot | None:  # noqa: ARG002
        return None

    def alive(self) -> None:
        """Nothing is measured on the way."""


def trls(contender: Contender, folder: Path, documents: Sequence[Document], *, setting: Setting) -> Measured:
    """TRL's SFTTrainer as its user would call it, on tokens that are prepared."""
    import datasets
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM
    from trl import SFTTrainer

    logging.disable(logging.WARNING)
    datasets.disable_progress_bars()
    recipe = setting.recipe(contender)
    rows = _in_order(rows_of(documents, recipe.model_copy(update={"packing": contender.packing == "ours"})))
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=DTYPES[recipe.precision], attn_implementation=_KERNELS[recipe.attention]
    )
    lora = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    with tempfile.TemporaryDirectory() as scratch:
        trainer: Any = SFTTrainer(
            model,
            args=_arguments(contender, setting, scratch),
            train_dataset=datasets.Dataset.from_list([_columns(row) for row in rows]),
            processing_class=_tokenizer(),
            peft_config=lora,
        )
        found, watch = Measured(weights=sum(weight.numel() for weight in model.parameters())), _Watch()
        for batch in trainer.get_train_dataloader():
            found.computed.append(batch["input_ids"].numel())
            found.real.append(int(batch.get("attention_mask", torch.ones_like(batch["input_ids"])).sum()))
        losses = _losses(trainer, watch)
        _forget_peaks()
        trainer.train()
        watch.into(found)
    found.losses = [float(loss) for loss in losses]
    return found


def _losses(trainer: Any, watch: _Watch) -> list[torch.Tensor]:
    """Filled step by step; each step begins where the one before has ended."""
    losses: list[torch.Tensor] = []
    step = trainer.training_step

    def watched(*arguments: Any, **named: Any) -> torch.Tensor:
        if losses:
            watch.step_is_done()
        loss: torch.Tensor = step(*arguments, **named)
        losses.append(loss.detach())
        return loss

    trainer.training_step = watched
    return losses


def _arguments(contender: Contender, setting: Setting, scratch: str) -> Any:
    from trl import SFTConfig

    recipe = setting.recipe(contender)
    return SFTConfig(
        output_dir=scratch,
        per_device_train_batch_size=recipe.batch_rows,
        num_train_epochs=1,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.schedule,
        warmup_steps=0,
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_grad_norm,
        optim="adamw_torch",
        bf16=recipe.precision == "bf16",
        fp16=recipe.precision == "fp16",
        gradient_checkpointing=contender.recompute,
        torch_compile=recipe.compile,
        packing=contender.packing is not None,
        max_length=recipe.width,
        dataset_kwargs={"skip_prepare_dataset": contender.packing == "ours"},
        train_sampling_strategy="sequential",
        seed=SEED,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )


def _in_order(rows: Sequence[PackedRow]) -> list[PackedRow]:
    """The rows as our loop takes them."""
    return Batches(rows, SEED, epochs=1).take(len(rows))


def _columns(row: PackedRow) -> dict[str, list[int]]:
    """A row as TRL's collator reads it. Labels stand beside their own token in both."""
    ends = [*(row.positions == 0).nonzero()[0].tolist()[1:], len(row.ids)]
    lengths = [end - start for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    return {"input_ids": row.ids.tolist(), "labels": row.labels.tolist(), "seq_lengths": lengths}


def _computed(rows: Sequence[PackedRow], size: int) -> list[int]:
    steps = [rows[start : start + size] for start in range(0, len(rows), size)]
    return [len(step) * max(len(row.ids) for row in step) for step in steps]


def _tokenizer() -> Any:
    """One that is only asked for the token to pad with."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(WordLevel({"<end>": 0}, unk_token="<end>"))  # noqa: S106 - no secret
    fast: Any = PreTrainedTokenizerFast
    return fast(tokenizer_object=made, eos_token="<end>", pad_token="<end>")  # noqa: S106


def _forget_peaks() -> None:
    forget_peak()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
