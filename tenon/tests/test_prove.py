"""`tenon prove`: its three answers, each with the exit code, and the trees that the repository does not hold."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tenon.__main__ import main

pytestmark = pytest.mark.usefixtures("each_tree_proved_once")
ROOT = Path(__file__).parents[2]
DNS = "tenants/acme/foundation/acme-train/cilium.io_ciliumnetworkpolicy_dns.yaml"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A root that holds a copy of rendered/; its one cluster is `rendered/eu1`."""
    shutil.copytree(ROOT / "rendered", tmp_path / "rendered")
    return tmp_path


def proved(root: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    code = main(["prove", "--root", str(root), "--json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, found


@pytest.mark.requirement("A23")
def test_the_rendered_tree_is_proved(capsys: pytest.CaptureFixture[str]) -> None:
    code, found = proved(ROOT, capsys)
    assert (code, found["holds"]) == (0, True)
    assert found["pairs"] == found["tenants"] * (found["tenants"] - 1)
    assert "acme-train/step -> storage/s3-acme 8333/TCP" in found["allowed"]
    assert not [flow for flow in found["allowed"] if "acme" in flow and "globex" in flow]


def test_the_table_is_at_most_100_columns_and_sums_up_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prove", str(ROOT / "rendered" / "eu1")]) == 0
    printed = capsys.readouterr()
    assert max(map(len, printed.out.splitlines())) <= 100
    assert "proved: 3 tenants, 6 ordered pairs" in printed.err


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: [", "is no YAML"),
        ("kind: yes", "'yes' is read differently by YAML 1.1 and 1.2; quote it"),
        ("apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {namespace: a, name: b}\nx: 1", "field `x`"),
    ],
)
def test_what_is_not_understood_is_not_provable(
    text: str, why: str, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (copy / "rendered" / "eu1" / DNS).write_text(text)
    assert main(["prove", "--root", str(copy)]) == 2
    printed = capsys.readouterr()
    assert (DNS in printed.err, why in printed.err, printed.out) == (True, True, "")


def test_a_root_without_a_tree_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prove", "--root", str(tmp_path)]) == 2
    assert "run `tenon render` first" in capsys.readouterr().err
    assert main(["prove", str(tmp_path / "none")]) == 2
    assert "name a cluster's folder below rendered/" in capsys.readouterr().err


@pytest.mark.requirement("A28")
def test_buckets_on_shared_addresses_are_proved_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(ROOT / "tenants", tmp_path / "tenants", ignore=shutil.ignore_patterns("initech*"))
    for lock in ("images.lock", "charts.lock"):
        shutil.copy(ROOT / lock, tmp_path)
    platform = (ROOT / "platform.yaml").read_text()
    in_cluster, s3 = (
        "{mode: inCluster, bucketPrefix: tenon}",
        "{mode: s3, bucketPrefix: tenon, region: eu-central-1, account: '123456789012'}",
    )
    assert in_cluster in platform
    (tmp_path / "platform.yaml").write_text(platform.replace(in_cluster, s3))
    assert main(["render", "--root", str(tmp_path)]) == 0
    capsys.readouterr()
    code, found = proved(tmp_path, capsys)
    assert (code, found["holds"]) == (0, True)
    assert "acme-train/step -> tenon-acme.s3.eu-central-1.amazonaws.com 443/TCP" in found["allowed"]
