"""The gate judges a report against a record; a promotion moves stages and keeps at most one of each live one."""

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.contract.models import Gate, ModelRecord, ModelVersion, Stage
from app.jobs.gate import NotPromotable, judge, metrics_of, promoted
from trainer.contract.report import Evaluation, Interval, Refusals, Report, Score

GATE = Gate(min_loss_reduction=0.25, max_regression=0.02, min_evaluation_rows=40)
STABLE_METRICS = {"lossBefore": 2.0, "lossAfter": 1.0, "evaluationRows": 40.0}


def version(name: str = "replies-1", stage: Stage = Stage.CANDIDATE, *, digest: str = "a") -> ModelVersion:
    return ModelVersion(
        version=name,
        stage=stage,
        adapter_digest=digest * 64,
        dataset_fingerprint="f" * 64,
        metrics=STABLE_METRICS,
        job="j1",
        trained_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def record(*versions: ModelVersion) -> ModelRecord:
    return ModelRecord(base="smollm2-135m", recipe="smollm2-135m-cpu", gate=GATE, versions=versions)


def report(before: float | None = 2.0, after: float | None = 1.0, *, rows: int = 40) -> Report:
    return Report(
        status="evaluated",
        job="j1",
        version="replies-2",
        evaluation_rows=rows,
        adapter_digest="a" * 64,
        loss_before=before,
        loss_after=after,
    )


@pytest.mark.parametrize(
    ("measured", "failed"),
    [
        (report(), set()),
        (report(after=1.5), set()),
        (report(after=1.51), {"minLossReduction"}),
        (report(after=2.5), {"minLossReduction"}),
        (report(rows=39), {"minEvaluationRows"}),
        (report(after=1.9, rows=0), {"minEvaluationRows", "minLossReduction"}),
        (report(before=None), {"complete"}),
        (report(after=None), {"complete"}),
        (report(after=math.nan), {"complete"}),
        (report(before=math.inf), {"complete"}),
        (report(before=0.0, after=0.0), {"complete"}),
        (report().model_copy(update={"adapter_digest": None}), {"complete"}),
    ],
)
def test_a_first_version_is_held_against_every_rule(measured: Report, failed: set[str]) -> None:
    result = judge(measured, record())
    assert {finding.rule for finding in result.findings if not finding.passed} == failed
    assert result.passed is (failed == set())


@pytest.mark.parametrize(
    ("measured", "passed", "told"),
    [
        (report(after=1.02), True, "+2.0%"),
        (report(after=1.03), False, "+3.0%"),
        (report(after=0.5), True, "-50.0%"),
        (report(before=2.1, after=1.5), True, "not compared"),  # other rows: their base loss differs
        (report(after=1.4, rows=50), True, "not compared"),
    ],
)
def test_only_the_same_held_out_rows_are_compared_with_stable(measured: Report, passed: bool, told: str) -> None:  # noqa: FBT001
    result = judge(measured, record(version(stage=Stage.STABLE)))
    regression = next(finding for finding in result.findings if finding.rule == "maxRegression")
    assert regression.passed is passed
    assert told in regression.text


def _interval(value: float) -> Interval:
    return Interval(value=value, low=value - 0.1, high=value + 0.1)


def _score(before: float, after: float) -> Score:
    return Score(before=_interval(before), after=_interval(after), rows=50)


THRESHOLDS = {"min_scores": {"exactMatch": 0.5}, "max_general_regression": 0.02, "max_refusals_lost": 1}


@pytest.mark.requirement("C62")
@pytest.mark.parametrize(
    ("evaluation", "failed"),
    [
        (None, {"minScores", "maxGeneralRegression", "maxRefusalsLost"}),
        (Evaluation(scores={"exactMatch": _score(0.1, 0.61)}), {"maxGeneralRegression", "maxRefusalsLost"}),
        (
            Evaluation(scores={"exactMatch": _score(0.1, 0.59)}, regression=_score(2, 2.03)),
            {"minScores", "maxRefusalsLost"},
        ),
        (
            Evaluation(
                scores={"exactMatch": _score(0, 0.7)},
                regression=_score(2, 2.1),
                safety=Refusals(prompts=26, before=20, after=18),
            ),
            {"maxGeneralRegression", "maxRefusalsLost"},
        ),
        (
            Evaluation(
                scores={"exactMatch": _score(0, 0.7)},
                regression=_score(2, 1.9),
                safety=Refusals(prompts=26, before=20, after=19),
            ),
            set(),
        ),
    ],
)
def test_a_threshold_fails_a_figure_beyond_it_or_one_that_was_not_measured(
    evaluation: Evaluation | None, failed: set[str]
) -> None:
    strict = record().model_copy(update={"gate": GATE.model_copy(update=THRESHOLDS)})
    measured = report().model_copy(update={"evaluation": evaluation})
    assert {finding.rule for finding in judge(measured, strict).findings if not finding.passed} == failed


@pytest.mark.requirement("C49")
def test_what_a_licence_keeps_from_commerce_passes_only_where_the_record_says_so() -> None:
    bound = report().model_copy(update={"licences": {"data": "CC-BY-NC-4.0"}, "non_commercial": True})
    allowing = record().model_copy(update={"gate": GATE.model_copy(update={"non_commercial": True})})

    assert [finding.rule for finding in judge(bound, record()).findings if not finding.passed] == ["nonCommercial"]
    assert judge(bound, allowing).passed


def test_the_metrics_of_a_report_are_those_the_gate_reads() -> None:
    kept = version(stage=Stage.STABLE).model_copy(update={"metrics": metrics_of(report())})
    assert "+3.0%" in judge(report(after=1.03), record(kept)).findings[-1].text


def stages(changed: ModelRecord) -> dict[str, str]:
    return {each.version: each.stage.value for each in changed.versions}


def test_a_new_canary_retires_the_one_before_and_leaves_stable() -> None:
    before = record(version("r-2", Stage.CANARY), version("r-1", Stage.STABLE))
    after = promoted(before, version("r-3"), stage=Stage.CANARY)
    assert stages(after) == {"r-3": "canary", "r-2": "retired", "r-1": "stable"}
    assert next(iter(after.versions)).version == "r-3"


def test_a_canary_that_becomes_stable_retires_the_stable_one() -> None:
    before = record(version("r-2", Stage.CANARY), version("r-1", Stage.STABLE))
    assert stages(promoted(before, version("r-2"), stage=Stage.STABLE)) == {"r-2": "stable", "r-1": "retired"}


def test_a_candidate_moves_nothing_else() -> None:
    before = record(version("r-1", Stage.STABLE))
    assert stages(promoted(before, version("r-2"), stage=Stage.CANDIDATE)) == {"r-2": "candidate", "r-1": "stable"}


def test_the_head_of_the_record_is_kept() -> None:
    assert promoted(record(), version(), stage=Stage.CANARY).model_copy(update={"versions": ()}) == record()


def test_a_retired_version_is_not_promoted_again() -> None:
    with pytest.raises(NotPromotable, match="retired"):
        promoted(record(version(stage=Stage.RETIRED)), version(), stage=Stage.CANARY)


def test_an_arm_of_an_ab_test_becomes_stable_once_the_test_is_over() -> None:
    running = {**dict(record(version("r-2"), version("r-1", Stage.STABLE))), "serving": {"ab": {"version": "r-2"}}}
    with pytest.raises(NotPromotable, match=r"serving\.ab\.version: 'r-2' is the stable version.+once r-2 is stable"):
        promoted(ModelRecord.model_validate(running), version("r-2"), stage=Stage.STABLE)


def test_another_adapter_under_a_known_name_is_refused() -> None:
    with pytest.raises(NotPromotable, match="another adapter"):
        promoted(record(version()), version(digest="b"), stage=Stage.CANARY)


@settings(max_examples=100)
@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(list(Stage))), max_size=12))
def test_promotions_keep_one_stable_and_one_canary_and_are_idempotent(moves: list[tuple[str, Stage]]) -> None:
    current = record()
    for name, stage in moves:
        try:
            after = promoted(current, version(name), stage=stage)
        except NotPromotable:
            continue
        assert promoted(after, version(name), stage=stage) == after
        current = after  # ModelRecord itself refuses two of a live stage
    assert {each.version for each in current.versions} <= set("abcd")
