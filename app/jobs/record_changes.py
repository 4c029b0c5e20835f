"""What a pull request may do to a model record. Pure: the record before, the record after.

Promotion and rollback are both such pull requests, so stages may move either way; what a stage rests on may not change.
"""

from collections.abc import Iterator

from app.contract.models import ModelRecord, ModelVersion, Stage
from app.jobs.gate import EVALUATION_ROWS, LOSS_AFTER, LOSS_BEFORE, ROUNDING

LIVE = frozenset({Stage.CANARY, Stage.STABLE})


def faults(before: ModelRecord | None, after: ModelRecord) -> list[str]:
    """Why the change cannot be merged, one text each; empty when it can."""
    known = {version.version: version for version in before.versions} if before else {}
    found = [text for version in after.versions for text in _rewritten(known.get(version.version), version)]
    found += [text for version in after.versions if version.stage in LIVE for text in _gate(version, after)]
    if before and before.base != after.base and (live := [v.version for v in after.versions if v.stage in LIVE]):
        text = f"base: {before.base} -> {after.base} under {', '.join(live)}, whose adapter is for {before.base}"
        found.append(f"{text}; retire it in an earlier change")
    return found


def _rewritten(before: ModelVersion | None, after: ModelVersion) -> Iterator[str]:
    """Every field but the stage is evidence of one training."""
    if before is None:
        return
    for field in type(after).model_fields:
        if field != "stage" and getattr(before, field) != getattr(after, field):
            yield f"{after.version}: {field} is evidence and has changed; restore it, or train a new version"


def _gate(version: ModelVersion, record: ModelRecord) -> Iterator[str]:
    """The measured figures of a version with users still hold against the record's gate."""
    before, after = version.metrics.get(LOSS_BEFORE), version.metrics.get(LOSS_AFTER)
    if not before or after is None:
        yield f"{version.version}: is {version.stage} without its losses; promote it with `tenon promote`"
        return
    if (fall := (before - after) / before) < record.gate.min_loss_reduction - ROUNDING:
        least = record.gate.min_loss_reduction
        yield f"{version.version}: its loss fell by {fall:.1%} and gate.minLossReduction is {least:.1%}; retire it"
    rows, least_rows = version.metrics.get(EVALUATION_ROWS, 0), record.gate.min_evaluation_rows
    if rows < least_rows:
        yield f"{version.version}: was measured on {rows:.0f} rows, gate.minEvaluationRows is {least_rows}; retire it"
