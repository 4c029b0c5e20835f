"""The loop beside another one, TRL's: what bench/trainer.py compares, on models that are small enough for a test."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.trainer import ANY, FIRST, agreement

OFFLINE = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
SMALL = ["--toy", "--threads", "1", "--width", "128"]


def bench(scratch: Path, *options: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.trainer", *SMALL, *options]
    environment = {**OFFLINE, "HF_HOME": str(scratch)}
    said = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=600, env=environment).stdout
    document: dict[str, Any] = json.loads(said)
    return document


@pytest.mark.model
@pytest.mark.requirement("E77")
def test_each_step_loses_what_trl_loses_on_the_same_tokens(base: Path, tmp_path: Path) -> None:
    names = ["ours-padded", "trl-padded", "ours", "trl-our-rows"]
    runs = bench(tmp_path, "--precision", "fp32", "--documents", "16", "--child", ",".join(names), str(base))

    padded, packed = agreement({name: [run] for name, run in runs.items()})

    for found in (padded, packed):
        assert found["sameTokens"]
        assert found["first"] < FIRST
        assert found["most"] < ANY
    learned = runs["trl-padded"]["losses"]
    assert (padded["steps"], len(learned)) == (4, 4)
    assert abs(learned[-1] - learned[0]) > 100 * ANY


@pytest.mark.model
@pytest.mark.requirement("C60")
def test_both_are_measured_over_the_same_rows_in_processes_of_their_own(tmp_path: Path) -> None:
    runs = bench(tmp_path, "--json", "--rounds", "1", "--documents", "24", "--contenders", "ours", "trl-default")[
        "runs"
    ]

    ours, theirs = runs["ours"][0], runs["trl-default"][0]

    assert sum(ours["real"]) == sum(theirs["real"]) == sum(ours["computed"])
    assert sum(theirs["computed"]) > sum(theirs["real"])  # padding, little of it among rows cut at this width
    for run in (ours, theirs):
        assert run["seconds"] > 0
        assert run["peak_bytes"] > 100 << 20
