"""Every recorded case is Cilium's engine's answer today: the files state what the engine says, and nothing else."""

import json
from pathlib import Path

import pytest
from controlplane.oracle import Oracle

pytestmark = pytest.mark.oracle

CASES = Path(__file__).parent / "cases"


def test_bad_lines_are_answered_with_an_error_and_the_next_line_is_read(oracle: Oracle) -> None:
    lines = ["{", "[]", '{"id": 1}', '{"type": "world", "policies": 3}', '{"type": "world", "id": "w", "policies": []}']
    *refused, world = map(json.loads, oracle.ask_text(lines))
    assert all(answer["error"] for answer in refused)
    assert world["policies"] == []
