"""An input is a regular file of bounded size: nothing is waited for, and nothing is read without end."""

import os
from pathlib import Path

import pytest

from generators.inputs.reading import MOST_BYTES, read_document


def said(path: Path) -> str:
    return " ".join(error.text for error in read_document(path, shown_as="tenants/acme.yaml").errors)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "acme.yaml")
    assert "is no regular file" in said(tmp_path / "acme.yaml")


@pytest.mark.parametrize("target", ["/dev/zero", "/"])
def test_a_device_or_a_folder_behind_a_link_is_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "acme.yaml").symlink_to(target)
    assert "is no regular file" in said(tmp_path / "acme.yaml")


def test_a_file_is_read_up_to_its_bound_alone(tmp_path: Path) -> None:
    with (tmp_path / "acme.yaml").open("wb") as file:
        file.truncate(MOST_BYTES * 4096)  # a hole, so it takes no room
    assert "more than an input file has" in said(tmp_path / "acme.yaml")


def test_windows_line_ends_change_no_value(tmp_path: Path) -> None:
    (tmp_path / "acme.yaml").write_bytes(b"a: |\r\n  x\r\n  y\r\nb: 1\r\n")
    assert read_document(tmp_path / "acme.yaml", shown_as="x").data == {"a": "x\ny\n", "b": 1}
