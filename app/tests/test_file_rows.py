"""Rows of files, on each database: what is on its way is known to nobody but its upload."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine

from app.store.files import PROCESSED, UPLOADING, Files, StoredFile
from app.tests.local import START

HOUR = timedelta(hours=1)


@pytest.fixture
def files(any_engine: Engine) -> Files:
    made = Files(any_engine)
    for number, status in enumerate((PROCESSED, UPLOADING)):
        ends = START + HOUR if status == UPLOADING else None
        row = StoredFile(
            f"file-{status}", "acme", "r", 9, "fine-tune", f"k{number}", None, START, status=status, expires_at=ends
        )
        made.add(row)
    return made


def ids(files: Files, tenant: str = "acme") -> list[str]:
    return [file.id for file in files.list(tenant, after=None, limit=9)]


def test_an_upload_is_a_file_once_it_is_complete(files: Files) -> None:
    assert ids(files) == ["file-processed"]
    assert files.get("acme", "file-uploading") is None
    assert files.complete("acme", "file-uploading", sha256="0" * 64)
    assert not files.complete("acme", "file-uploading", sha256="1" * 64)
    found = files.get("acme", "file-uploading")
    assert found is not None
    assert (found.sha256, found.expires_at) == ("0" * 64, None)
    assert len(ids(files)) == 2


def test_uploads_expire_and_files_do_not(files: Files) -> None:
    assert files.expired("acme", at=START + HOUR, limit=9) == []
    late = files.expired("acme", at=START + 2 * HOUR, limit=9)
    assert [file.id for file in late] == ["file-uploading"]


def test_another_tenant_completes_deletes_and_sees_nothing(files: Files) -> None:
    assert not files.complete("globex", "file-uploading", sha256="0" * 64)
    assert not files.delete("globex", "file-processed")
    assert (ids(files, "globex"), files.expired("globex", at=START + 2 * HOUR, limit=9)) == ([], [])
    assert files.delete("acme", "file-processed")
    assert ids(files) == []
