"""Generated worlds, put to Cilium's own engine and to our evaluator: the same answers, every time, from any seed."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from random import SystemRandom
from typing import Any

import pytest
from controlplane.oracle import Oracle
from differential.campaign import REGRESSIONS, Outcome, minimal, run, save
from differential.generate import CATALOGUE

pytestmark = pytest.mark.oracle

FLOWS = 24_000
Line = dict[str, Any]


@pytest.fixture(scope="module")
def seed() -> int:
    """TENON_SEED repeats a run."""
    return int(os.environ.get("TENON_SEED") or SystemRandom().randrange(1_000_000))


@pytest.fixture(scope="module")
def outcome(oracle: Oracle, seed: int) -> Outcome:
    made = run(oracle.ask, seed=seed, flows=FLOWS)
    shapes = f"{len(CATALOGUE & set(made.drawn))} of {len(CATALOGUE)} shapes"
    print(f"\ngenerated, TENON_SEED={seed}: {made}; {shapes}")
    for why, count in made.refused.most_common():
        print(f"  refused {count}: {why}")
    return made


@pytest.mark.requirement("A24", "N1")
def test_no_generated_flow_is_judged_otherwise_than_by_the_engine(
    outcome: Outcome, oracle: Oracle, seed: int, tmp_path: Path
) -> None:
    found = tmp_path / f"regressions-{seed}.jsonl"
    save((line for mismatch in outcome.mismatches[:5] for line in minimal(mismatch, oracle.ask)), found)
    keep = (
        f"`python -m differential.campaign --seed {seed} --flows {FLOWS} --save` keeps them in cases/{REGRESSIONS.name}"
    )
    assert not outcome.mismatches, f"the smallest worlds that differ: {found}; {keep}"
    assert outcome.flows >= 20_000


def test_the_questions_are_no_easy_ones(outcome: Outcome) -> None:
    assert min(outcome.engines[verdict] for verdict in ("allow", "deny")) > 0.2 * outcome.flows
    assert outcome.objects["accepted"] > outcome.objects["rejected"] > 0
    assert outcome.refused_share < 0.05


def test_an_evaluator_that_is_wrong_about_one_rule_is_found_out(oracle: Oracle, seed: int) -> None:
    """An engine that is asked about a world whose denies were taken away stands for the wrong evaluator."""

    def without_denies(lines: Sequence[Line]) -> list[Line]:
        text = json.dumps(lines).replace('"ingressDeny"', '"ignored"').replace('"egressDeny"', '"ignored"')
        return oracle.ask(json.loads(text))

    assert run(without_denies, seed=seed, flows=6_000, at_most=3).mismatches
