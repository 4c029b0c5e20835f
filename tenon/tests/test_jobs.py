"""`tenon jobs`: what an operator sees and may ask; each change is in the audit, also the one that was refused."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from app.contract.cost import Cost
from app.contract.job import JobState
from app.jobs.state import Move
from app.store.attempts import Attempts
from app.store.engine import open_store, reading
from app.store.jobs import Jobs
from app.store.ledger import Ledger
from app.store.tables import audit
from app.tests.local import envelope
from tenon.__main__ import main
from trainer.contract.report import Usage

Ask = Callable[..., int]


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """Three jobs: one waits, one runs, one has failed."""
    made = open_store(f"sqlite:///{tmp_path}/store.db")
    jobs, attempts = Jobs(made), Attempts(made)
    for minute, (job, tenant) in enumerate((("waits", "acme"), ("runs", "globex"), ("failed", "acme"))):
        jobs.insert_or_ignore(envelope(job, tenant, minute=minute), traceparent=None)
    for job in ("runs", "failed"):
        attempts.begin(job, cap=9)
    for attempt in attempts.unconfirmed():
        attempts.confirm([attempt])
        attempts.note_step(attempt, "train")
        if attempt.job.id == "failed":
            attempts.finish(attempt, Move.FAIL, error="rows.jsonl:3: no JSON\nmore", code="bad_input")
    return made


@pytest.fixture
def ask(engine: Engine, tmp_path: Path) -> Ask:
    def asked(*words: str) -> int:
        return main(["jobs", *words, "--store-url", str(engine.url)])

    return asked


def audited(engine: Engine) -> list[tuple[Any, ...]]:
    with reading(engine) as connection:
        rows = connection.execute(select(audit).order_by(audit.c.id)).all()
    assert all(row.actor.startswith("user:") for row in rows)
    return [(row.tenant, row.action, row.resource, row.outcome) for row in rows]


def test_the_list_shows_every_tenants_jobs_newest_first(ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("list") == 0
    told = capsys.readouterr().out
    assert [word for word in told.split() if word in {"waits", "runs", "failed"}][:1] == ["failed"]
    assert "rows.jsonl:3: no JSON" in told
    assert "more" not in told
    assert max(map(len, told.splitlines())) <= 100


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ((), ["failed", "runs", "waits"]),
        (("--tenant", "acme"), ["failed", "waits"]),
        (("--state", "running"), ["runs"]),
        (("--limit", "1"), ["failed"]),
        (("--tenant", "initech"), []),
    ],
)
def test_the_list_can_be_narrowed(
    ask: Ask, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], found: list[str]
) -> None:
    assert ask("list", "--json", *words) == 0
    assert [job["id"] for job in json.loads(capsys.readouterr().out)] == found


@pytest.mark.requirement("A11")
def test_a_job_is_shown_with_its_history_and_its_error(ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("show", "failed", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["state"], shown["errorCode"], shown["attempt"]) == ("failed", "bad_input", 1)
    assert shown["events"][0]["message"] == "queued"
    assert ask("show", "waits") == 0
    assert "position" in capsys.readouterr().out


@pytest.mark.requirement("A36")
@pytest.mark.parametrize(
    ("verb", "job", "state"),
    [
        ("cancel", "waits", JobState.CANCELLED),
        ("cancel", "runs", JobState.CANCELLED),
        ("pause", "waits", JobState.PAUSED),
        ("pause", "runs", JobState.PAUSING),
        ("retry", "failed", JobState.QUEUED),
    ],
)
def test_what_is_asked_of_a_job_is_done_and_audited(
    ask: Ask, engine: Engine, verb: str, job: str, state: JobState
) -> None:
    assert ask(verb, job) == 0
    found = Jobs(engine).find(job)
    assert found is not None
    assert found.state is state
    assert audited(engine) == [(found.tenant, f"jobs {verb}", f"jobs/{job}", "done")]


def test_a_paused_job_is_resumed(ask: Ask, engine: Engine) -> None:
    assert (ask("pause", "waits"), ask("resume", "waits")) == (0, 0)
    assert [action for _, action, *_ in audited(engine)] == ["jobs pause", "jobs resume"]


@pytest.mark.parametrize(("verb", "job"), [("retry", "runs"), ("resume", "waits"), ("cancel", "failed")])
def test_what_a_state_does_not_allow_is_refused_in_words_and_audited(
    ask: Ask, engine: Engine, capsys: pytest.CaptureFixture[str], verb: str, job: str
) -> None:
    assert ask(verb, job) == 1
    assert f"so {verb} does nothing" in capsys.readouterr().err
    assert [outcome for *_, outcome in audited(engine)] == ["refused"]


def test_the_cost_of_a_job_is_told_by_attempt(ask: Ask, engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    attempt = Attempts(engine).unfinished()[0]
    usage = Usage(cpu_seconds=7200, gpu_seconds=60)
    cost = Cost(amount=Decimal("0.0800"), currency="EUR")
    Ledger(engine).note(attempt, usage=usage, waited_seconds=1.5, cost=cost, final=False)
    assert ask("cost", "runs", "--json") == 0
    entry = json.loads(capsys.readouterr().out)[0]
    assert (entry["cpuSeconds"], entry["amount"], entry["final"]) == (7200, "0.0800", False)
    assert ask("cost", "runs") == 0
    assert "0.0800 EUR" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("show", "other"), 2, "is not in the store"),
        (("list", "--limit", "0"), 2, "give 1 or more"),
        (("list", "--home", "{empty}", "--store-url", ""), 2, "holds no store"),
        (("list", "--store-url", "sqlite:////missing/store.db"), 3, "make the folder"),
        (("list", "--store-url", "nonsense"), 3, "is no URL"),
    ],
)
def test_what_cannot_be_answered_is_one_line(
    engine: Engine,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    code: int,
    told: str,
) -> None:
    named = [word.format(empty=tmp_path / "empty") for word in words]
    store = [] if "--store-url" in words else ["--store-url", str(engine.url)]
    assert main(["jobs", *named, *store]) == code
    assert told in capsys.readouterr().err.splitlines()[-1]
