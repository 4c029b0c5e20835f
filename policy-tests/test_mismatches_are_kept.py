"""A mismatch with Cilium's engine is cut down and saved, so that every later run is held to it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from differential.campaign import minimal, ours, run, save

Line = dict[str, Any]


def without_denies(lines: Sequence[Line]) -> list[Line]:
    """Our evaluator on a world without its denies, in the place of an engine with which it disagrees."""
    text = json.dumps(lines).replace('"ingressDeny"', '"ignored"').replace('"egressDeny"', '"ignored"')
    return ours(json.loads(text))


def test_a_mismatch_is_cut_down_and_saved_once_with_the_engines_answers(tmp_path: Path) -> None:
    mismatch = run(without_denies, seed=1, flows=2_000, at_most=1).mismatches[0]
    lines = minimal(mismatch, without_denies)
    assert len(json.dumps(lines)) < len(json.dumps(mismatch.lines))
    file = tmp_path / "regressions.jsonl"
    assert [save(lines, file) for _ in range(2)] == [len(lines), 0]
    kept = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert kept == lines
    assert any(key.startswith("expect") for key in kept[-1])
