"""`tenon audit verify`: its answers, for people and for machines, and its exit codes."""

import json
from pathlib import Path

import pytest
from sqlalchemy import update

from app.audit import Audit
from app.store.engine import open_store, writing
from app.store.tables import audit
from tenon.__main__ import main


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store with three records."""
    made = f"sqlite:///{tmp_path}/store.db"
    store = open_store(made)
    for number in range(3):
        Audit(store).note(actor="user:me", tenant=None, action="jobs cancel", resource=str(number), outcome="done")
    store.dispose()
    return made


def verify(url: str, *more: str) -> int:
    return main(["audit", "verify", "--store-url", url, *more])


def test_a_chain_that_holds_is_ok_and_tells_its_head(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(url, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["rows"], answer["broken"]) == (3, None)
    assert verify(url, "--head", answer["head"]) == 0
    assert f"3 rows hold; head {answer['head']}" in capsys.readouterr().err


def test_a_changed_row_fails_the_check_and_is_named(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    store = open_store(url)
    with writing(store) as connection:
        connection.execute(update(audit).where(audit.c.id == 2).values(actor="user:nobody"))
    store.dispose()
    assert verify(url) == 1
    assert "BROKEN at row 2" in capsys.readouterr().err
    assert verify(url, "--json") == 1
    assert json.loads(capsys.readouterr().out)["broken"]["row"] == 2


def test_a_head_that_is_gone_fails_the_check(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(url, "--head", "a" * 64) == 1
    assert "cut off" in capsys.readouterr().err


def test_what_is_no_head_is_bad_input(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        verify(url, "--head", "yesterday")
    assert "64 characters" in capsys.readouterr().err


def test_a_store_that_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "verify", "--home", str(tmp_path / "none")]) == 2
    assert verify(f"sqlite:///{tmp_path}/missing/store.db") == 3
    assert "Traceback" not in capsys.readouterr().err
