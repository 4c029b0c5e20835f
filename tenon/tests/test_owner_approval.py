"""The script of .github/workflows/owner-approval.yaml, over real Git repositories."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PLATFORM = ["@tenon/platform"]
HEAD = "b" * 40


@pytest.fixture(scope="module")
def check() -> ModuleType:
    sys.path.append(str(ROOT / ".github/scripts"))  # where Python looks when it runs one of them
    spec = importlib.util.spec_from_file_location("owner_approval", ROOT / ".github/scripts/owner_approval.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def member_of(*pairs: tuple[str, str]) -> Callable[[str, str], bool]:
    return lambda account, team: (account, team) in pairs


def review(account: str, state: str, commit: str = HEAD) -> dict[str, Any]:
    return {"user": {"login": account}, "state": state, "commit_id": commit}


def test_tenant_files_and_model_records_belong_to_the_tenant(check: ModuleType) -> None:
    paths = ["tenants/acme.yaml", "tenants/globex/models/extract.yaml", "tenants/schema/tenant.json", "README.md", ""]

    assert check.changed_tenants(paths) == ["acme", "globex"]


def test_schemas_and_texts_belong_to_no_tenant(check: ModuleType) -> None:
    assert check.changed_tenants(["tenants/README.md", "tenants/schema/model.json"]) == []


@pytest.mark.parametrize(
    ("reviews", "approved"),
    [
        ([review("ann", "APPROVED")], {"ann"}),
        ([review("ann", "APPROVED", commit="a" * 40)], set()),
        ([review("ann", "APPROVED"), review("ann", "CHANGES_REQUESTED")], set()),
        ([review("ann", "CHANGES_REQUESTED"), review("ann", "APPROVED")], {"ann"}),
        ([review("ann", "APPROVED"), review("ann", "COMMENTED")], {"ann"}),
        ([review("ann", "DISMISSED")], set()),
    ],
    ids=["approved", "older-commit", "withdrawn", "convinced", "remark-after", "dismissed"],
)
def test_the_last_verdict_on_the_newest_commit_counts(
    check: ModuleType, reviews: list[dict[str, Any]], approved: set[str]
) -> None:
    assert check.approvers(reviews, head=HEAD) == approved


@pytest.mark.parametrize(
    ("owners", "approved", "refused"),
    [
        (["@ann"], {"ann"}, False),
        (["@Ann"], {"aNN"}, False),
        (["@ann"], {"bob"}, True),
        (["@acme/ml"], {"bob"}, False),
        (["@acme/ml"], {"ann"}, True),
        (["@ann"], {"root"}, True),
        ([], {"root"}, False),
        ([], {"ann"}, True),
        (["@ann"], set(), True),
    ],
)
def test_a_change_needs_one_of_the_tenants_owners_and_a_new_tenant_the_platforms(
    check: ModuleType, owners: list[str], approved: set[str], *, refused: bool
) -> None:
    teams = member_of(("bob", "acme/ml"), ("root", "tenon/platform"))

    assert bool(check.missing({"acme": owners}, PLATFORM, approved, is_member=teams)) is refused


def test_the_refusal_says_whom_to_ask(check: ModuleType) -> None:
    [text] = check.missing({"acme": ["@ann", "@acme/ml"]}, PLATFORM, set(), is_member=member_of())

    assert text == "tenants/acme: no approval by its owners; ask @ann or @acme/ml to approve"


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@tenon.example", "-c", "commit.gpgsign=false"]
    answer = subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True, text=True
    )
    return answer.stdout.strip()


@pytest.fixture
def change(tmp_path: Path, check: ModuleType) -> tuple[Any, str]:
    """A branch that makes itself acme's owner and moves it away, and adds globex."""
    (tmp_path / "tenants").mkdir()
    (tmp_path / ".github").mkdir()
    (tmp_path / ".github/CODEOWNERS").write_text("# comment\n* @tenon/platform @root\n", encoding="utf-8")
    (tmp_path / "tenants/acme.yaml").write_text('owners: ["@ann"]\n', encoding="utf-8")
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "Begin")
    base = git(tmp_path, "rev-parse", "HEAD")
    (tmp_path / "tenants/acme.yaml").rename(tmp_path / "tenants/globex.yaml")
    (tmp_path / "tenants/globex.yaml").write_text('owners: ["@mallory"]\n', encoding="utf-8")
    (tmp_path / ".github/CODEOWNERS").write_text("* @mallory\n", encoding="utf-8")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "-m", "Appoint myself")
    return check.Repository(tmp_path, base), git(tmp_path, "rev-parse", "HEAD")


def test_a_change_cannot_appoint_its_own_approver(change: tuple[Any, str]) -> None:
    repository, _ = change

    assert (repository.owners("acme"), repository.owners("globex")) == (["@ann"], [])
    assert repository.platform_owners() == ["@tenon/platform", "@root"]


def test_moving_a_tenant_away_asks_the_owners_of_both_names(check: ModuleType, change: tuple[Any, str]) -> None:
    repository, head = change

    assert check.changed_tenants(repository.changed_paths(head)) == ["acme", "globex"]


def test_every_action_is_pinned_by_commit_and_no_workflow_holds_a_right_by_default() -> None:
    for workflow in sorted((ROOT / ".github/workflows").glob("*.yaml")):
        text = workflow.read_text(encoding="utf-8")
        uses = [line.split("uses:")[1].split()[0] for line in text.splitlines() if "uses:" in line]
        assert "\npermissions: {}\n" in text
        assert all(len(action.partition("@")[2]) == len(HEAD) for action in uses)


def test_codeowners_names_no_tenant() -> None:
    text = (ROOT / ".github/CODEOWNERS").read_text(encoding="utf-8")

    assert not [line for line in text.splitlines() if line.startswith(("/tenants/", "tenants/")) and "/*" not in line]
