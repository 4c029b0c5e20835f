"""The gate (report against record) and the promotion (record -> record). Pure: the trainer measures, Git registers."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import ValidationError

from app.contract.models import Gate, ModelRecord, ModelVersion, Stage
from app.contract.wire import AT
from trainer.contract.report import Report

# Keys of ModelVersion.metrics, from the report's fields of the same meaning.
LOSS_BEFORE, LOSS_AFTER = "lossBefore", "lossAfter"
EVALUATION_ROWS, TOKENS_PER_SECOND = "evaluationRows", "tokensPerSecond"

# Two measurements of one base model on the same held-out rows differ by no more than this fraction.
SAME_ROWS_TOLERANCE = 1e-4
ROUNDING = 1e-9  # a figure that stands exactly on its bound passes, whatever binary fractions make of it


class NotPromotable(ValueError):  # noqa: N818 - named by what it says of the version
    """The version cannot take the stage in this record; the text tells why and what to do."""


@dataclass(frozen=True)
class Finding:
    """One rule of the gate and what it found."""

    rule: str  # key of the record's `gate`, or `complete`
    passed: bool
    text: str


@dataclass(frozen=True)
class GateResult:
    """The gate's answer: passed when every finding is."""

    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        return all(finding.passed for finding in self.findings)


def metrics_of(report: Report) -> dict[str, float]:
    """The figures of a report that a model version keeps."""
    kept = {
        LOSS_BEFORE: report.loss_before,
        LOSS_AFTER: report.loss_after,
        EVALUATION_ROWS: report.evaluation_rows,
        TOKENS_PER_SECOND: report.tokens_per_second,
    }
    return {name: float(value) for name, value in kept.items() if value is not None}


def judge(report: Report, record: ModelRecord) -> GateResult:
    """Hold an attempt's report against the record's gate; every rule is answered, none hides another."""
    before, after = report.loss_before, report.loss_after
    if before is None or after is None or report.adapter_digest is None:
        text = "the report lacks losses or the adapter's digest; run the job through `evaluate`"
        return GateResult((Finding("complete", passed=False, text=text),))
    if not (math.isfinite(before) and math.isfinite(after) and before > 0):
        text = f"the losses {before} and {after} are no finite measurements; look at the job's metrics"
        return GateResult((Finding("complete", passed=False, text=text),))
    return GateResult(
        (
            _enough_rows(report.evaluation_rows, record.gate.min_evaluation_rows),
            _loss_fell(before, after, least=record.gate.min_loss_reduction),
            *_scores(report, record.gate),
            *_general(report, record.gate),
            *_refusals(report, record.gate),
            _licensed(report, allowed=record.gate.non_commercial),
            _no_regression(report, after, record),
        )
    )


def _enough_rows(rows: int, least: int) -> Finding:
    return Finding("minEvaluationRows", rows >= least, f"{rows} held-out rows; at least {least} are needed")


def _loss_fell(before: float, after: float, *, least: float) -> Finding:
    fall = (before - after) / before
    text = f"held-out loss {before:.4f} -> {after:.4f}: it fell by {fall:.1%}; at least {least:.1%} is needed"
    return Finding("minLossReduction", fall >= least - ROUNDING, text)


def _no_regression(report: Report, after: float, record: ModelRecord) -> Finding:
    """Only the same held-out rows compare; the base model's loss on them tells whether they are the same."""
    rule, stable = "maxRegression", record.at(Stage.STABLE)
    if stable is None:
        return Finding(rule, passed=True, text="no stable version to compare with")
    if not _same_rows(report, stable):
        return Finding(rule, passed=True, text=f"not compared: {stable.version} was measured on other held-out rows")
    reference = stable.metrics[LOSS_AFTER]
    rise, most = (after - reference) / reference, record.gate.max_regression
    text = f"held-out loss {after:.4f} against {reference:.4f} of {stable.version}: {rise:+.1%}; at most {most:+.1%}"
    return Finding(rule, rise <= most + ROUNDING, text)


def _scores(report: Report, gate: Gate) -> Iterator[Finding]:
    """A score passes by the lower end of its interval, so that few rows do not pass by luck."""
    measured = report.evaluation.scores if report.evaluation else {}
    for name, least in sorted(gate.min_scores.items()):
        score = measured.get(name)
        if score is None:
            yield Finding("minScores", passed=False, text=f"{name} was not measured; ask for it in the job's checks")
        else:
            after = score.after
            text = f"{name} {after.value:.3f} ({after.low:.3f} - {after.high:.3f}, {score.rows} rows); its lower end"
            yield Finding("minScores", passed=after.low >= least - ROUNDING, text=f"{text} must reach {least:g}")


def _general(report: Report, gate: Gate) -> Iterator[Finding]:
    rule, most = "maxGeneralRegression", gate.max_general_regression
    if most is None:
        return
    score = report.evaluation.regression if report.evaluation else None
    if score is None:
        yield Finding(rule, passed=False, text="general rows were not measured; name them in checks.regression")
        return
    rise = (score.after.value - score.before.value) / max(score.before.value, ROUNDING)
    text = f"loss over {score.rows} general rows {score.before.value:.4f} -> {score.after.value:.4f}: {rise:+.1%}"
    yield Finding(rule, passed=rise <= most + ROUNDING, text=f"{text}; at most {most:+.1%}")


def _refusals(report: Report, gate: Gate) -> Iterator[Finding]:
    rule, most = "maxRefusalsLost", gate.max_refusals_lost
    if most is None:
        return
    found = report.evaluation.safety if report.evaluation else None
    if found is None:
        yield Finding(rule, passed=False, text="refusals were not measured; set checks.safety")
        return
    text = f"{found.after} of {found.prompts} prompts refused, {found.before} by the base model; at most {most} fewer"
    yield Finding(rule, passed=found.before - found.after <= most, text=text)


def _licensed(report: Report, *, allowed: bool) -> Finding:
    rule, found = "nonCommercial", ", ".join(f"{part} {name}" for part, name in sorted(report.licences.items()))
    if not report.non_commercial:
        return Finding(rule, passed=True, text=f"licences: {found or 'none is stated'}; none forbids commercial use")
    remedy = "the record's gate allows it" if allowed else "set gate.nonCommercial where the use is not commercial"
    return Finding(rule, passed=allowed, text=f"licences: {found}; one of them forbids commercial use; {remedy}")


def _same_rows(report: Report, stable: ModelVersion) -> bool:
    metrics = stable.metrics
    return (
        report.loss_before is not None
        and metrics.get(LOSS_AFTER, 0) > 0
        and metrics.get(EVALUATION_ROWS) == report.evaluation_rows
        and math.isclose(metrics.get(LOSS_BEFORE, 0), report.loss_before, rel_tol=SAME_ROWS_TOLERANCE)
    )


def promoted(record: ModelRecord, version: ModelVersion, *, stage: Stage) -> ModelRecord:
    """The record once `version` has reached `stage`; the version that held a live stage before is retired.

    Doing it twice changes nothing, and a version never steps back: a stable one asked to be the canary stays stable.
    Raises NotPromotable for a retired version, for a name that already belongs to another adapter, and when the record
    would break a rule of its own.
    """
    known = next((v for v in record.versions if v.version == version.version), None)
    if known is None:
        return _with_stage(record, (version, *record.versions), name=version.version, stage=stage)
    if known.adapter_digest != version.adapter_digest:
        raise NotPromotable(f"{version.version} is another adapter in the record; a version never changes, train anew")
    if known.stage is Stage.RETIRED and stage is not Stage.RETIRED:
        raise NotPromotable(f"{version.version} is retired; set its stage in the record by a reviewed change")
    if _RANK[stage] <= _RANK[known.stage]:
        return record
    return _with_stage(record, record.versions, name=version.version, stage=stage)


_RANK = {Stage.CANDIDATE: 0, Stage.CANARY: 1, Stage.STABLE: 2, Stage.RETIRED: 3}


def _with_stage(record: ModelRecord, versions: tuple[ModelVersion, ...], *, name: str, stage: Stage) -> ModelRecord:
    live = stage in {Stage.CANARY, Stage.STABLE}
    staged = []
    for version in versions:
        if version.version == name:
            staged.append(version.model_copy(update={"stage": stage}))
        elif live and version.stage is stage:
            staged.append(version.model_copy(update={"stage": Stage.RETIRED}))
        else:
            staged.append(version)
    try:
        return ModelRecord.model_validate({**dict(record), "versions": tuple(staged)})
    except ValidationError as error:  # such as arm b of an A/B test, which becomes what arm a serves
        found = error.errors()[0]
        at = ".".join(found.get("ctx", {}).get(AT, ()))
        raise NotPromotable(f"{at}: {found['msg']}, once {name} is {stage}; change the record first") from error
