"""The model card: README.md of a model version, from its job, recipe and report and nothing else."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from trainer.contract.job import TrainingJob
from trainer.contract.recipe import Recipe
from trainer.contract.report import Interval, Report, Usage
from trainer.settings import Origin

_LIMITS = (
    "It was measured over the held-out rows of its own data set alone; other uses were not.",
    "What the base model says of its limits, biases and languages holds for it too.",
)
_NON_COMMERCIAL = "A licence of its base model or of its data forbids commercial use, so it is for no such use either."


@dataclass(frozen=True)
class Making:
    """What a card is made from. signer: in words. traceparent: of the request that asked for the job."""

    job: TrainingJob
    recipe: Recipe
    report: Report
    base_digest: str
    origin: Origin
    signer: str
    traceparent: str | None = None
    exports: Mapping[str, Any] | None = None


def card(making: Making) -> str:
    """Markdown. Text of the job stands in code spans, so that none of it is markup."""
    parts = (
        ("", _origin(making)),
        ("Training", _training(making)),
        ("Measured", _measured(making.report)),
        ("Used", _used(making.report.usage)),
        ("Limits", _limits(making.report)),
    )
    lines = [f"# {making.report.version}", "", f"{_kind(making.recipe)} made by Tenon."]
    for title, facts in parts:
        lines += ["", *([f"## {title}", ""] if title else []), *(f"- {fact}" for fact in facts)]
    return "\n".join([*lines, ""])


def _kind(recipe: Recipe) -> str:
    return "A fully tuned model" if recipe.method == "full" else "A LoRA adapter"


def _origin(making: Making) -> Iterable[str]:
    job, report, origin = making.job, making.report, making.origin
    yield f"Base model: {code(job.base)}, sha256 of its manifest {code(making.base_digest)}, {_licence(report, 'base')}"
    fingerprint = code(report.dataset_fingerprint or "none")
    yield f"Data: {code(job.data)}, fingerprint {fingerprint}, {_licence(report, 'data')}"
    yield f"Weights: sha256 {code(report.adapter_digest or 'none')}, {report.adapter_bytes} bytes"
    for form, facts in sorted((making.exports or {}).items()):
        yield f"Also as {form}: {', '.join(f'{name} {value}' for name, value in sorted(facts.items()))}"
    yield f"Job: {code(job.job)} of tenant {code(job.tenant)}, attempt's trace {code(making.traceparent or 'none')}"
    yield f"Code: commit {code(origin.commit or 'not stated')}, image {code(origin.image or 'not stated')}"
    yield f"Signature: {making.signer}"


def _training(making: Making) -> Iterable[str]:
    recipe, report = making.recipe, making.report
    share = 100 * report.trainable_parameters / max(report.total_parameters, 1)
    yield f"Recipe {code(making.job.recipe)}, seed {making.job.seed}"
    yield f"Method {recipe.method}, objective {recipe.objective}, {recipe.precision}; {share:.2f} % of all parameters"
    if recipe.method != "full":
        form = "".join(f", {name}" for name, used in (("rsLoRA", recipe.rslora), ("DoRA", recipe.dora)) if used)
        yield f"Rank {recipe.rank}, alpha {recipe.alpha}, dropout {recipe.dropout:g}{form}"
    rate = f"learning rate {recipe.learning_rate:g}, {recipe.schedule} after {recipe.warmup_steps} steps of warm-up"
    yield f"Optimizer {recipe.optimizer}, {rate}, weight decay {recipe.weight_decay:g}"
    yield f"{recipe.batch_rows} rows of {recipe.width} tokens a step, {recipe.epochs} epochs at most"
    yield f"{report.steps} steps over {report.tokens} tokens, {report.skipped_steps} steps skipped"
    yield f"{report.rows} training rows, {report.evaluation_rows} held out; dropped: {_dropped(report)}"


def _measured(report: Report) -> Iterable[str]:
    """Each figure of the base model and of the tuned one, with its 95 % interval where there is one."""
    evaluation = report.evaluation
    if evaluation is None or evaluation.loss is None:
        losses = f"{_figure(report.loss_before)}, then {_figure(report.loss_after)}"
        yield f"Held-out loss per assistant token: {losses} (no interval measured)"
    if evaluation is None:
        return
    named = {"Held-out loss per assistant token": evaluation.loss, "Perplexity": evaluation.perplexity}
    named |= {**evaluation.scores, "Loss over rows of general ability": evaluation.regression, **evaluation.tasks}
    for name, score in named.items():
        if score is not None:
            yield f"{name}: {_interval(score.before)}, then {_interval(score.after)}, over {score.rows} rows"
    if (safety := evaluation.safety) is not None:
        yield f"Prompts to be refused: {safety.before} of {safety.prompts}, then {safety.after}"
    if (judge := evaluation.judge) is not None:
        yield f"Preferred by the judge: {_interval(judge.win_rate)} ({judge.wins} wins, {judge.losses} losses)"


def _used(usage: Usage) -> Iterable[str]:
    yield f"{usage.gpu_seconds:.0f} GPU seconds, of which {usage.wasted_gpu_seconds:.0f} were lost to interruptions"
    yield f"{usage.cpu_seconds:.0f} processor seconds, of which {usage.wasted_cpu_seconds:.0f} were lost"
    origin = "estimated" if usage.energy_estimated else "measured by the GPU"
    grams = (
        f"{usage.co2_grams:.1f} g of CO2" if usage.co2_grams else "CO2 not computed: no factor of the grid was given"
    )
    yield f"{usage.energy_wh:.2f} Wh, {origin}; {grams}"
    yield f"At most {usage.peak_memory_bytes} bytes of memory and {usage.peak_gpu_memory_bytes} of a GPU's"


def _limits(report: Report) -> Iterable[str]:
    if report.non_commercial:
        yield _NON_COMMERCIAL
    for of in report.licences_to_read:
        licence = code(report.licences[of])
        yield f"The licence of its {of}, {licence}, has conditions that its name does not tell; read it."
    for of in ("base", "data"):
        if of not in report.licences:
            yield f"The licence of its {of} is not stated, so nobody has checked what it permits."
    yield from _LIMITS


def code(text: str) -> str:
    """Text as a code span of one line."""
    flat = " ".join(text.split()).replace("`", "'")
    return f"`{flat}`"


def _licence(report: Report, of: str) -> str:
    return f"licence {code(report.licences[of])}" if of in report.licences else "licence not stated"


def _dropped(report: Report) -> str:
    return ", ".join(f"{number} {reason}" for reason, number in sorted(report.dropped.items())) or "none"


def _figure(loss: float | None) -> str:
    return "not measured" if loss is None else f"{loss:.4f}"


def _interval(found: Interval) -> str:
    return f"{found.value:.4f} [{found.low:.4f}, {found.high:.4f}]"
