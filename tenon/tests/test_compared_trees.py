"""`tenon diff` compares whole trees or says what it cannot read: a folder that is passed over would look removed."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tenon.__main__ import main
from tenon.tests.test_diff import git, small_tree

TENANT = "rendered/eu1/tenants/acme"
Refusal = Callable[..., str]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The inputs' folder `platform` of a Git repository, with three tenants in its one commit."""
    folder = tmp_path / "platform"
    small_tree(folder)
    git(tmp_path, "init", "--initial-branch=main")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--message=first")
    return folder


@pytest.fixture
def refusal(repository: Path, capsys: pytest.CaptureFixture[str]) -> Refusal:
    """What `tenon diff` says when it refuses."""

    def diff(*words: str) -> str:
        assert main(["diff", "--root", str(repository), "--without-flows", *words]) == 2
        return capsys.readouterr().err

    return diff


def test_a_tree_below_a_folder_of_the_repository_is_compared_whole(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(repository / "rendered/eu1/tenants/globex")
    shutil.rmtree(repository / TENANT)
    assert main(["diff", "HEAD", "--root", str(repository), "--without-flows"]) == 1
    assert "2 tenants or namespaces would go and 1 may: eu1/acme, eu1/globex" in capsys.readouterr().err


def test_a_folder_that_cannot_be_listed_is_not_taken_for_a_removed_tenant(
    repository: Path, refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden, listed = repository / TENANT, os.scandir

    def scandir(path: Any = ".") -> Any:
        if str(path) == str(hidden):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert f"{hidden}: cannot be read (Permission denied)" in refusal("HEAD")


def test_a_link_in_place_of_a_tenant_is_neither_followed_nor_passed_over(repository: Path, refusal: Refusal) -> None:
    shutil.move(repository / TENANT, repository / "elsewhere")
    (repository / TENANT).symlink_to(repository / "elsewhere")
    assert "tenants/acme: is a link or a device" in refusal("HEAD")
    git(repository, "add", ".")
    git(repository, "commit", "--message=second")
    assert "tenants/acme: is a link or a device" in refusal("HEAD~1", "HEAD")


@pytest.mark.parametrize("words", [("", "HEAD"), ("HEAD", ""), ("",)])
def test_an_empty_revision_is_not_the_folder_one_stands_in(
    words: tuple[str, ...], repository: Path, refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    assert "'': is empty; name a git revision" in refusal(*words)
