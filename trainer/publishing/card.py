"""The model card: README.md of a model version, from its report and nothing else."""

from trainer.contract.job import TrainingJob
from trainer.contract.recipe import Recipe
from trainer.contract.report import Report


def card(job: TrainingJob, recipe: Recipe, report: Report, *, base_digest: str) -> str:
    """Markdown."""
    share = 100 * report.trainable_parameters / max(report.total_parameters, 1)
    facts = {
        "Base model": f"`{base_digest}` (sha256 of its manifest)",
        "Adapter": f"`{report.adapter_digest}` (sha256 of adapter_model.safetensors), {report.adapter_bytes} bytes",
        "Method": f"LoRA, rank {recipe.rank}, alpha {recipe.alpha}; {share:.2f} % of all parameters trained",
        "Data set": f"fingerprint `{report.dataset_fingerprint}`; {report.rows} rows, {report.evaluation_rows} held",
        "Dropped rows": ", ".join(f"{number} {reason}" for reason, number in sorted(report.dropped.items())) or "none",
        "Training": f"{report.steps} steps, {report.tokens} tokens, seed {job.seed}, recipe {job.recipe}",
        "Held-out loss per assistant token": f"{_figure(report.loss_before)}, then {_figure(report.loss_after)}",
        "Job": f"{job.job} of tenant {job.tenant}",
    }
    lines = [f"- {name}: {value}" for name, value in facts.items()]
    return "\n".join([f"# {report.version}", "", "A LoRA adapter made by Tenon.", "", *lines, ""])


def _figure(loss: float | None) -> str:
    return "not measured" if loss is None else f"{loss:.4f}"
