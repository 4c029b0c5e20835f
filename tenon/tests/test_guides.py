"""The guides, step by step: every command that needs no cluster, as it is written, in a small clone of the inputs.

Of bootstrap-a-cluster.md, the one command that brings the repository into a cluster, `kubectl apply -f argocd/`, is run
against a real Argo CD by policy-tests/test_controllers_argocd.py; the others need machines and a mirror.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
GUIDES = ROOT / "docs" / "guides"
IDENTITY = {"NAME": "Test", "EMAIL": "test@example.org"}
Clone = Callable[..., Path]


def commands(guide: str) -> list[str]:
    """Lines after `$` in the guide's console blocks, in order; a line that ends with a backslash goes on."""
    text = (GUIDES / guide).read_text(encoding="utf-8")
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    joined = "\n".join(blocks).replace("\\\n", " ")
    return re.findall(r"^ *\$ (.*)$", joined, re.MULTILINE)


def run(folder: Path, command: str) -> str:
    """What the command prints. `.venv/bin/tenon` is the one under test."""
    words = command.replace(".venv/bin/tenon", f"{sys.executable} -m tenon")
    person = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in IDENTITY.items()}
    environment = {**os.environ, **person, "GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(words, shell=True, cwd=folder, env=environment, capture_output=True, text=True, check=False)  # noqa: S602 - the guide's own text
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """`clone("acme")`: a repository whose branch `main` holds these tenants, rendered."""

    def make(*tenants: str) -> Path:
        for name in ("platform.yaml", "images.lock", "charts.lock"):
            shutil.copy(ROOT / name, tmp_path)
        for tenant in tenants:
            shutil.copytree(ROOT / "tenants" / tenant, tmp_path / "tenants" / tenant)
            shutil.copy(ROOT / "tenants" / f"{tenant}.yaml", tmp_path / "tenants")
        for command in ("tenon render", "git init --quiet -b main", "git add .", "git commit --quiet -m Start"):
            run(tmp_path, command.replace("tenon", ".venv/bin/tenon"))
        return tmp_path

    return make


def followed(folder: Path, guide: str) -> list[str]:
    """Run the guide's commands; what they changed on top of `main`."""
    for command in commands(guide):
        if not command.startswith("kubectl "):
            run(folder, command)
    return run(folder, "git diff --name-only main HEAD").splitlines()


def test_a_tenant_is_added_as_the_guide_says_and_no_other_file_changes(clone: Clone) -> None:
    changed = followed(clone("initech"), "add-a-tenant.md")
    assert {"tenants/hooli.yaml", "tenants/hooli/models/replies.yaml"} < set(changed)
    assert [path for path in changed if not re.match(r"tenants/hooli|rendered/eu1/tenants/hooli/", path)] == []


def test_a_tenant_goes_as_the_guide_says_and_takes_only_its_own_files_along(clone: Clone) -> None:
    changed = followed(clone("acme", "initech"), "offboard-a-tenant.md")
    assert [path for path in changed if not re.match(r"tenants/initech|rendered/eu1/tenants/initech/", path)] == []


@pytest.mark.parametrize("guide", ["isolation.md", "common-pattern.md"])
def test_every_question_of_a_guide_is_answered(guide: str) -> None:
    for command in commands(guide):
        assert run(ROOT, command), command


def test_what_the_guides_ask_of_a_cluster_names_what_is_rendered() -> None:
    asked = [command for command in commands("offboard-a-tenant.md") if command.startswith("kubectl ")]
    assert [words.split()[1:4] for words in asked] == [["annotate", "application", "initech-foundation"]]
    assert "kubectl apply --server-side -f argocd/" in commands("bootstrap-a-cluster.md")
