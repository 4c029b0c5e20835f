import json
from pathlib import Path

import pytest

from tenon.__main__ import main
from trainer.settings import Origin
from trainer.tests.published import version


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return version(tmp_path, origin=Origin())


def test_an_untouched_version_is_confirmed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(folder)]) == 0

    assert "unsigned" in capsys.readouterr().out


def test_a_changed_file_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "adapter/adapter_model.safetensors").write_bytes(b"other")

    assert main(["verify", str(folder), "--json"]) == 1

    found = json.loads(capsys.readouterr().out)
    assert (found["holds"], found["signature"]) == (False, "unsigned")
    assert {(one["rule"], one["file"]) for one in found["findings"]} == {
        ("digest", "adapter/adapter_model.safetensors")
    }


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["nowhere"], "nowhere: has no MANIFEST.json"),
        (["{folder}", "--key", "nowhere.pem"], "public key nowhere.pem: cannot be read"),
    ],
)
def test_what_is_no_version_or_no_key_is_bad_input(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], text: str
) -> None:
    assert main(["verify", *(word.format(folder=folder) for word in words)]) == 2

    assert text in capsys.readouterr().err
