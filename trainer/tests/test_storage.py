import json
import time
from pathlib import Path

import pytest

from trainer import storage
from trainer.contract.steps import S3_URL
from trainer.model.base import refuse_code
from trainer.outcomes import BadInput, Unavailable
from trainer.publishing.manifest import Incomplete, seal, verify


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "folder/inner").mkdir(parents=True)
    (tmp_path / "folder/a.txt").write_text("a")
    (tmp_path / "folder/inner/b.txt").write_text("b")
    seal(tmp_path / "folder")
    return tmp_path / "folder"


def test_a_folder_stored_and_fetched_is_the_same_folder(folder: Path, tmp_path: Path) -> None:
    storage.store_folder(folder, str(tmp_path / "there"))

    assert storage.is_complete(str(tmp_path / "there"))
    assert verify(storage.fetch_folder(str(tmp_path / "there"), tmp_path / "copy")) == verify(folder)


def test_what_a_folder_takes_is_the_sum_of_its_files(folder: Path) -> None:
    files = [path.stat().st_size for path in (folder / "a.txt", folder / "inner/b.txt", folder / "MANIFEST.json")]

    assert storage.stored_bytes(str(folder)) == sum(files)
    assert storage.stored_bytes(str(folder / "nowhere")) == 0


def test_one_changed_byte_is_noticed(folder: Path, tmp_path: Path) -> None:
    (folder / "inner/b.txt").write_text("c")

    with pytest.raises(Incomplete, match=r"inner/b.txt: has sha256"):
        storage.fetch_folder(str(folder), tmp_path / "copy")


def test_a_folder_that_is_another_than_the_digest_says_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(Incomplete, match="it is another folder"):
        storage.fetch_folder(str(folder), tmp_path / "copy", digest="0" * 64)


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd"])
def test_a_manifest_that_points_outside_its_folder_is_refused(folder: Path, tmp_path: Path, name: str) -> None:
    (folder / "MANIFEST.json").write_text(json.dumps({"files": {name: {"sha256": "0" * 64, "bytes": 1}}}))

    with pytest.raises(Incomplete, match="lies outside"):
        storage.fetch_folder(str(folder), tmp_path / "copy")


@pytest.mark.parametrize("url", ["s3://", "s3:///key", "s3://A_b/key", "s3://a b/key", "", "a\0b", "a\nb"])
def test_a_url_that_names_nothing_is_the_users_to_mend(tmp_path: Path, url: str) -> None:
    with pytest.raises(BadInput, match=r"no name of a bucket|is no path of a file"):
        storage.fetch_file(url, tmp_path)


def test_a_manifest_without_end_of_its_nesting_is_none(folder: Path) -> None:
    (folder / "MANIFEST.json").write_text("[" * 100_000)

    with pytest.raises(Incomplete, match=r"is no manifest .*write the folder again"):
        verify(folder)


def test_a_folder_without_manifest_is_not_complete(folder: Path, tmp_path: Path) -> None:
    (folder / "MANIFEST.json").unlink()

    assert not storage.is_complete(str(folder))
    with pytest.raises(Incomplete, match="no complete folder"):
        storage.fetch_folder(str(folder), tmp_path / "copy")


def test_a_dead_object_store_is_noticed_within_half_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(S3_URL, "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    began = time.monotonic()

    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:9 does not answer .* is TENON_S3_URL right"):
        storage.read("s3://bucket/key")

    assert time.monotonic() - began < 30


@pytest.mark.parametrize("name", ["model.bin", "pytorch_model.BIN", "model.pt", "weights.pkl", "modeling.py", "x.npy"])
def test_a_base_model_with_a_file_that_runs_code_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")

    with pytest.raises(BadInput, match="may run code"):
        refuse_code(tmp_path)


def test_a_base_model_that_names_code_of_its_own_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"auto_map": {"AutoModel": "modeling.Model"}}))

    with pytest.raises(BadInput, match="auto_map"):
        refuse_code(tmp_path)
