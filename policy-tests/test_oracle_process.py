"""The process that answers for the engine: what becomes of it when it dies, and when much is asked at once."""

from pathlib import Path

import pytest
from controlplane.oracle import Oracle, OracleError

pytestmark = pytest.mark.oracle


def program(folder: Path, text: str) -> Path:
    made = folder / "engine"
    made.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    made.chmod(0o755)
    return made


def test_a_process_that_dies_is_told_with_its_last_words(tmp_path: Path) -> None:
    dying = program(tmp_path, "read line; echo '{}'; echo 'out of memory' >&2; exit 2")
    with Oracle(dying) as oracle, pytest.raises(OracleError, match="answered 1 of 3 lines and ended: out of memory"):
        oracle.ask([{}] * 3)


def test_more_is_asked_at_once_than_both_pipes_hold(oracle: Oracle) -> None:
    peers = {"a": {"namespace": "a"}, "b": {"namespace": "b"}}
    flow = {"from": "a", "to": "b", "port": 80, "title": "x" * 1000}
    world, *answers = oracle.ask([{"type": "world", "policies": [], "peers": peers}, *[flow] * 5000])
    assert world["identities"] == 2
    assert {answer["verdict"] for answer in answers} == {"allow"}
