"""`tenon diff`: two revisions or folders, one answer in three forms, and a brake on mass deletion."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from generators.changes.objects import Section
from generators.writing import to_yaml
from tenon.__main__ import main
from tenon.comment import MOST_CHARACTERS, markdown

GOLDEN = Path(__file__).parent / "golden" / "diff.md"
TENANTS = ("acme", "globex", "initech")


def small_tree(folder: Path) -> None:
    """Three tenants of a namespace, a quota and a role each: small enough to read, and not provable."""
    for tenant in TENANTS:
        rbac = "rbac.authorization.k8s.io"
        place = {"name": "owners", "namespace": f"{tenant}-serve"}
        for body in (
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {
                    "name": f"{tenant}-serve",
                    "annotations": {"argocd.argoproj.io/sync-options": "Prune=confirm,Delete=confirm"},
                },
            },
            {
                "apiVersion": "v1",
                "kind": "ResourceQuota",
                "metadata": {"name": "serving", "namespace": f"{tenant}-serve"},
                "spec": {"hard": {"requests.nvidia.com/gpu": "4"}},
            },
            {
                "apiVersion": f"{rbac}/v1",
                "kind": "Role",
                "metadata": place,
                "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
            },
            {
                "apiVersion": f"{rbac}/v1",
                "kind": "RoleBinding",
                "metadata": place,
                "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "owners"},
                "subjects": [{"apiGroup": rbac, "kind": "Group", "name": f"tenon:{tenant}"}],
            },
        ):
            group = "core" if body["apiVersion"] == "v1" else rbac
            kind, name = str(body["kind"]).lower(), body["metadata"]["name"]  # type: ignore[index]
            path = folder / f"rendered/eu1/tenants/{tenant}/foundation/x/{group}_{kind}_{name}.yaml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(to_yaml(body, source="x"), encoding="utf-8")


def git(folder: Path, *words: str) -> None:
    identity = {
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@x",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@x",
    }
    nobodys = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    subprocess.run(
        ["git", "-C", str(folder), *words], check=True, capture_output=True, env={**os.environ, **identity, **nobodys}
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two commits: the second gives acme a GPU, its owners a verb, and takes initech away."""
    folder = tmp_path / "repository"
    small_tree(folder)
    git(folder, "init", "--initial-branch=main")
    git(folder, "add", ".")
    git(folder, "commit", "--message=first")
    acme = folder / "rendered/eu1/tenants/acme/foundation/x"
    for name, old, new in (
        ("core_resourcequota_serving", '"4"', '"5"'),
        ("rbac.authorization.k8s.io_role_owners", "  - get\n", "  - get\n  - delete\n"),
    ):
        path = acme / f"{name}.yaml"
        path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    shutil.rmtree(folder / "rendered/eu1/tenants/initech")
    git(folder, "add", ".")
    git(folder, "commit", "--message=second")
    return folder


@pytest.fixture
def diff(repository: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """`diff(words...)` in the repository -> exit code, stdout, stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["diff", "--root", str(repository), *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


Diff = Callable[..., tuple[int, str, str]]


def test_the_comment_of_a_change_is_the_golden_one(diff: Diff) -> None:
    """TENON_UPDATE_GOLDEN=1 writes it anew."""
    code, comment, _ = diff("HEAD~1", "HEAD", "--markdown", "--without-flows")
    if os.environ.get("TENON_UPDATE_GOLDEN"):
        GOLDEN.write_text(comment, encoding="utf-8")
    assert code == 0
    assert comment == GOLDEN.read_text(encoding="utf-8")


def test_the_json_answer_is_one_document_with_every_section(diff: Diff) -> None:
    code, out, _ = diff("HEAD~1", "HEAD", "--json", "--without-flows")
    answer = json.loads(out)
    assert code == 0
    assert answer["removed"] == ["eu1/initech"]
    assert [row["change"] for row in answer["objects"]] == ["changed", "changed", *["removed"] * 4]
    assert answer["gpus"][0]["serving"] == "4 -> 5"
    assert answer["rbac"][0]["right"] == "delete pods in acme-serve"


@pytest.mark.parametrize("form", [(), ("--json",), ("--markdown",)])
def test_many_removals_pass_with_a_flag_alone(diff: Diff, repository: Path, form: tuple[str, ...]) -> None:
    shutil.rmtree(repository / "rendered/eu1/tenants/globex")
    code, _, said = diff("HEAD~1", "--without-flows", *form)
    assert code == 1
    assert (
        "2 tenants or namespaces would go and 1 may: eu1/globex, eu1/initech; if that is meant, --allow-removals 2"
        in said
    )
    assert diff("HEAD~1", "--without-flows", "--allow-removals", "2", *form)[0] == 0


def test_a_folder_and_a_revision_can_be_compared(diff: Diff, repository: Path) -> None:
    _, out, _ = diff("HEAD", str(repository), "--json", "--without-flows")
    assert json.loads(out)["objects"] == []


def test_comparing_leaves_the_repository_as_it_is(diff: Diff, repository: Path) -> None:
    index = (repository / ".git/index").read_bytes()
    diff("HEAD~1", "HEAD", "--without-flows")
    assert (repository / ".git/index").read_bytes() == index


@pytest.mark.parametrize("words", [["nonesuch", "HEAD"], ["HEAD~99"], ["HEAD", "--", "-x"], ["HEAD", "/dev"]])
def test_what_is_no_revision_and_no_folder_is_bad_input(diff: Diff, words: list[str]) -> None:
    assert diff(*words)[0] == 2


def test_a_tree_that_is_not_provable_is_compared_and_said_so(diff: Diff) -> None:
    code, out, _ = diff("HEAD~1", "HEAD", "--json")
    assert code == 0
    assert json.loads(out)["titles"]["flows"].startswith("Flows: 0 opened, 0 closed; isolation NOT proved (eu1: ")


def test_flows_that_a_change_opens_and_closes_are_named(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["render", "--root", str(root)])
    before = shutil.copytree(root / "rendered", tmp_path / "before")
    tenant = root / "tenants" / "acme.yaml"
    tenant.write_text(tenant.read_text().replace("[mirror.acme.example]", "[other.acme.example]"))
    main(["render", "--root", str(root), "--only", "acme"])
    capsys.readouterr()
    assert main(["diff", str(before), str(root), "--json"]) == 0
    flows = {(row["change"], row["flow"]) for row in json.loads(capsys.readouterr().out)["flows"]}
    assert ("opened", "acme-train/trainer asks other.acme.example") in flows
    assert ("closed", "acme-train/trainer -> mirror.acme.example 443/TCP") in flows
    assert {flow.split("-")[0] for _, flow in flows} == {"acme"}


def test_a_comment_is_never_longer_than_github_takes_and_counts_what_it_leaves_out() -> None:
    rows = tuple((f"eu1/t{number % 7}", "removed", f"ConfigMap {'x' * 40}{number}") for number in range(3000))
    sections = [Section(name, name, ("tenant", "change", "object"), rows) for name in ("first", "second")]
    comment = markdown("a -> b", sections)
    assert MOST_CHARACTERS * 0.9 < len(comment) < MOST_CHARACTERS
    assert comment.count("rows are left out (`eu1/t") == 2


def test_no_text_of_a_tree_leaves_its_cell() -> None:
    section = Section("x", "x", ("tenant",), (("`@all` | <img>\n\n# h",),))
    assert "| `'@all' \\| <img> # h` |\n" in markdown("t", [section])
