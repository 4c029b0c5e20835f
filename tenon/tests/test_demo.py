"""The demo as its user runs it: one command, and every promise of its summary."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

pytestmark = pytest.mark.model


@pytest.mark.requirement("C63", "A23")
def test_one_command_leads_from_a_tenant_file_to_a_promoted_model(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tenon", "demo", "--root", str(ROOT), "--home", str(tmp_path / "demo"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["held-out loss after"] < 0.75 * summary["held-out loss before"]
    assert summary["flows opened"] == 0
    assert summary["files changed"] == 3
    assert summary["version"] == f"support-{summary['job'][:12]}"
    assert len(summary["trace"]) == 32
    assert "proved: 4 tenants, 12 ordered pairs, none reaches another" in done.stderr
    assert "the same job, not a second one" in done.stderr
    record = (tmp_path / "demo" / "clone" / "tenants" / "demo" / "models" / "support.yaml").read_text()
    assert summary["version"] in record
