"""`tenon prove` judges every file that Argo CD could load; what it cannot see for certain is no proof."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tenon.__main__ import main

ROOT = Path(__file__).parents[2]
TENANT = "rendered/eu1/tenants/acme"
POLICY = f"{TENANT}/foundation/acme-train/cilium.io_ciliumnetworkpolicy_dns.yaml"

Refusal = Callable[[], str]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A root that holds a copy of rendered/."""
    shutil.copytree(ROOT / "rendered", tmp_path / "rendered")
    return tmp_path


@pytest.fixture
def refusal(copy: Path, capsys: pytest.CaptureFixture[str]) -> Refusal:
    """What `tenon prove` says when it refuses the copy."""

    def prove() -> str:
        assert main(["prove", "--root", str(copy)]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        return printed.err

    return prove


def unlistable(monkeypatch: pytest.MonkeyPatch, hidden: Path) -> None:
    """A folder that may not be listed, as mode 0 makes it for everyone but root."""
    listed = os.scandir

    def scandir(path: Any = ".") -> Any:
        if str(path) == str(hidden):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)


@pytest.mark.parametrize("folder", [TENANT, f"{TENANT}/foundation", "rendered/eu1"])
def test_a_folder_that_cannot_be_listed_is_no_proof(
    folder: str, copy: Path, refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlistable(monkeypatch, copy / folder)
    assert f"{copy / folder}: cannot be read (Permission denied)" in refusal()


@pytest.mark.parametrize("link", [TENANT, f"{TENANT}/foundation", POLICY, "rendered/eu1", "rendered"])
def test_a_link_to_a_folder_or_a_file_is_no_proof(link: str, copy: Path, refusal: Refusal) -> None:
    shutil.move(copy / link, copy / "elsewhere")
    (copy / link).symlink_to(copy / "elsewhere")
    assert f"{copy / link}: is a symbolic link" in refusal()


@pytest.mark.parametrize(
    "name",
    ["core_configmap_x.jsonnet", "core_configmap_x.json", "core_configmap_x.yml", "Chart.yaml", ".argocd-source.yaml"],
)
def test_a_file_that_argo_cd_may_load_and_nobody_rendered_is_no_proof(name: str, copy: Path, refusal: Refusal) -> None:
    (copy / TENANT / "workloads" / name).write_text("{}")
    assert f"workloads/{name}: is no file `<group>_<kind>_<name>.yaml`" in refusal()


def test_a_policy_that_argo_cd_passes_over_is_no_proof(copy: Path, refusal: Refusal) -> None:
    with (copy / POLICY).open("a") as file:
        file.write("# +argocd:skip-file-rendering\n")
    assert "so Argo CD passes it over" in refusal()


def test_rendered_that_may_not_be_looked_into_is_bad_input(
    copy: Path, refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(Path, "iterdir", denied)
    assert f"{copy / 'rendered'}: cannot be read (Permission denied)" in refusal()
