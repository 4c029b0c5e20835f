"""A script of the workflows that cannot find its answer says so in one line and exits 2: that is no failed check."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tenon.tests.test_diff import git
from tenon.tests.test_github_scripts import script

Refusal = Callable[..., str]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two commits: the second changes acme."""
    (tmp_path / "tenants").mkdir()
    for number, text in enumerate(("owners: ['@ann']\n", "owners: ['@bob']\n")):
        (tmp_path / "tenants/acme.yaml").write_text(text, encoding="utf-8")
        if not number:
            git(tmp_path, "init", "--initial-branch=main")
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", f"--message={number}")
    return tmp_path


@pytest.fixture
def refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refusal:
    """What a script says, run in the repository; it is one line."""
    monkeypatch.chdir(tmp_path)

    def run(name: str, *words: str) -> str:
        monkeypatch.setattr(sys, "argv", [name, *words])
        assert script(name).main() == 2
        printed = capsys.readouterr()
        assert (printed.out, printed.err.count("\n")) == ("", 1)
        return printed.err

    return run


NUMBER = {"blast_radius": (), "record_changes": (), "owner_approval": ("--number=1",)}


@pytest.mark.parametrize("name", NUMBER)
@pytest.mark.parametrize("word", ["nonesuch", "--output=written", ""])
def test_a_word_that_is_no_commit_is_neither_an_option_nor_a_failed_check(
    name: str, word: str, repository: Path, refusal: Refusal
) -> None:
    for ends in ((f"--base={word}", "--head=HEAD"), ("--base=HEAD", f"--head={word}")):
        assert f"{word!r}: is no commit of this repository" in refusal(name, *ends, *NUMBER[name])
    assert not list(repository.rglob("written*"))


@pytest.mark.parametrize("word", ["nonesuch", "--output=written"])
def test_a_commit_before_that_is_not_there_builds_nothing(word: str, repository: Path, refusal: Refusal) -> None:
    assert f"{word!r}: is no commit of this repository" in refusal("plan", f"--base={word}")
    assert not list(repository.rglob("written*"))


def test_a_base_without_platform_owners_has_nobody_to_ask(
    repository: Path, refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    binaries = repository / "bin"
    binaries.mkdir()
    (binaries / "gh").write_text("#!/bin/sh\necho '[[]]'\n", encoding="utf-8")
    (binaries / "gh").chmod(0o755)
    monkeypatch.setenv("PATH", str(binaries), prepend=":")
    words = ("owner_approval", "--base=HEAD~1", "--head=HEAD", "--number=1")
    assert "git show: fails with exit code 128" in refusal(*words)
    (repository / ".github").mkdir()
    (repository / ".github/CODEOWNERS").write_text("docs/ @ann\n", encoding="utf-8")
    git(repository, "add", ".")
    git(repository, "commit", "--message=owners")
    (repository / "tenants/acme.yaml").write_text("owners: []\n", encoding="utf-8")
    git(repository, "commit", "--all", "--message=nobody")
    assert ".github/CODEOWNERS: has no line `*`" in refusal(*words)


def test_a_tenant_whose_owners_cannot_be_read_is_not_approved_by_accident(repository: Path, refusal: Refusal) -> None:
    for text in ("owners: [\n", "owners: ['@ann']\n"):
        (repository / "tenants/acme.yaml").write_text(text, encoding="utf-8")
        git(repository, "commit", "--all", "--message=x")
    said = refusal("owner_approval", "--base=HEAD~1", "--head=HEAD", "--number=1")
    assert "tenants/acme.yaml: names no list `owners` on the base branch" in said


@pytest.mark.parametrize("words", [("--list",), ("trainer", "sha256:" + "ab" * 32), ("vllm", "--mirror")])
@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "cannot be read or written (No such file or directory)"),
        (b"a: [", "is not YAML"),
        (b"just words", "is no mapping of roles"),
        (b"trainer: {repository: x}", "is no mapping of roles"),
        (b"\xff", "can't decode"),
    ],
)
def test_a_lock_that_is_not_there_or_none_is_named(
    tmp_path: Path, refusal: Refusal, words: tuple[str, ...], content: bytes | None, why: str
) -> None:
    if content is not None:
        (tmp_path / "images.lock").write_bytes(content)
    said = refusal("lock_image", *words)
    assert said.startswith("lock_image: images.lock: ")
    assert why in said or "is no role of the lock" in said
