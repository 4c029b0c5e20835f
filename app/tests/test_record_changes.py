"""A pull request moves stages; what a stage rests on stays as it was measured."""

import pytest

from app.contract.models import ModelRecord, Stage
from app.jobs.record_changes import faults
from app.tests.test_gate import record, version

OLD = version("replies-1", Stage.STABLE)
NEW = version("replies-2", Stage.CANARY, digest="b")


@pytest.mark.requirement("E82")
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (record(OLD), record(NEW, OLD)),
        (record(NEW, OLD), record(NEW.model_copy(update={"stage": Stage.STABLE}), version("replies-1", Stage.RETIRED))),
        (record(NEW, version("replies-1", Stage.RETIRED)), record(OLD)),
        (None, record(version())),
    ],
    ids=["promotion", "canary-becomes-stable", "revert", "new-record"],
)
def test_promotion_and_rollback_pass(before: ModelRecord | None, after: ModelRecord) -> None:
    assert faults(before, after) == []


@pytest.mark.requirement("E82")
@pytest.mark.parametrize(
    ("field", "value"),
    [("adapter_digest", "c" * 64), ("dataset_fingerprint", "c" * 64), ("metrics", {"lossAfter": 0.1}), ("job", "j9")],
)
def test_evidence_of_a_version_never_changes(field: str, value: object) -> None:
    candidate = version()
    found = faults(record(candidate), record(candidate.model_copy(update={field: value})))
    assert found == [f"replies-1: {field} is evidence and has changed; restore it, or train a new version"]


@pytest.mark.parametrize(
    ("metrics", "text"),
    [
        ({"lossBefore": 2.0, "lossAfter": 1.9, "evaluationRows": 40.0}, "its loss fell by 5.0% and"),
        ({"lossBefore": 2.0, "lossAfter": 1.0, "evaluationRows": 4.0}, "was measured on 4 rows"),
        ({}, "is canary without its losses"),
    ],
)
def test_nobody_writes_a_version_past_the_gate(metrics: dict[str, float], text: str) -> None:
    [found] = faults(record(OLD), record(NEW.model_copy(update={"metrics": metrics}), OLD))
    assert text in found


def test_the_base_stays_under_a_version_that_users_get() -> None:
    [found] = faults(record(OLD), record(OLD).model_copy(update={"base": "other"}))
    assert found.startswith("base: smollm2-135m -> other under replies-1, whose adapter is for smollm2-135m;")
