"""`tenon dlq`: what was set aside is found, sent again a few times at most, or given up; and all of it is audited."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from app.broker.consuming import drain
from app.broker.envelope import PoisonError, Reason, headers, raw, value
from app.broker.queue import Message
from app.broker.redriving import MOST_REDRIVES
from app.broker.sql import SqlSubscriber
from app.store.engine import open_store, reading
from app.store.tables import audit
from app.tests.local import envelope, publish
from tenon.__main__ import main

Answer = Callable[..., tuple[int, Any]]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """Three dead letters: of acme twice and of globex, for two reasons."""
    made = open_store(f"sqlite:///{tmp_path}/store.db")
    publish(made, envelope("first"), envelope("second", "globex"), envelope("third"))
    set_aside(made)
    yield made
    made.dispose()


def set_aside(engine: Engine) -> None:
    def handle(message: Message) -> None:
        reason = Reason.UNKNOWN_TENANT if message.key == b"globex" else Reason.BAD_SCHEMA
        raise PoisonError(reason, "\x1b[31mnever")

    subscriber = SqlSubscriber(engine)
    while drain(subscriber, handle):
        pass


@pytest.fixture
def dlq(engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Answer:
    """Run the command; its exit code and its JSON."""

    def run(*words: str) -> tuple[int, Any]:
        fast = ("--rate", "10000") if words[0] in {"redrive", "discard"} else ()
        code = main(["dlq", *words, *fast, "--store-url", f"sqlite:///{tmp_path}/store.db", "--json"])
        out = capsys.readouterr().out
        return code, json.loads(out) if out else None

    return run


def jobs(engine: Engine) -> list[str]:
    """What a consumer finds now."""
    return [message.headers["ce_id"] for message in SqlSubscriber(engine, lease_seconds=0).take(limit=99)]


@pytest.mark.requirement("A36")
@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([], ["first", "second", "third"]),
        (["--tenant", "acme"], ["first", "third"]),
        (["--reason", "unknown_tenant"], ["second"]),
        (["--since", "2026-01-01", "--tenant", "globex"], ["second"]),
        (["--until", "2026-01-01"], []),
        (["--limit", "1"], ["first"]),
    ],
)
def test_letters_are_found_by_tenant_reason_and_time(dlq: Answer, words: list[str], found: list[str]) -> None:
    code, letters = dlq("list", *words)
    assert (code, [letter["job"] for letter in letters]) == (0, found)


def test_a_letter_is_shown_whole_and_is_no_command_to_the_terminal(dlq: Answer) -> None:
    _, letter = dlq("show", "1")
    assert dict(letter["headers"]) == headers(envelope("first"), traceparent=None)
    assert json.loads(letter["value"]) == json.loads(value(envelope("first")))
    assert (letter["attempts"], letter["topic"], letter["position"]) == (1, "finetuning-jobs", "0:1")


def test_a_table_fits_a_terminal_and_gives_it_no_commands(
    engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dlq", "list", "--store-url", f"sqlite:///{tmp_path}/store.db"]) == 0
    out = capsys.readouterr().out
    assert "3 open" in out
    assert "\x1b" not in out
    assert max(map(len, out.splitlines())) <= 100


@pytest.mark.requirement("A36")
def test_a_redriven_letter_is_the_message_again_and_open_no_longer(dlq: Answer, engine: Engine) -> None:
    assert dlq("redrive", "--tenant", "acme") == (0, {"redriven": [1, 3], "refused": [], "dryRun": False})
    again = SqlSubscriber(engine).take(limit=9)
    assert [(message.key, message.value) for message in again] == [
        (b"acme", value(envelope(job))) for job in ("first", "third")
    ]
    own = raw(headers(envelope("first"), traceparent=None))
    assert again[0].raw[: len(own)] == own
    assert [letter["job"] for letter in dlq("list")[1]] == ["second"]


@pytest.mark.requirement("A36")
def test_a_dry_run_says_what_it_would_do_and_does_nothing(dlq: Answer, engine: Engine) -> None:
    assert dlq("redrive", "--all", "--dry-run") == (0, {"redriven": [1, 2, 3], "refused": [], "dryRun": True})
    assert dlq("discard", "1", "--dry-run")[1]["discarded"] == [1]
    assert (jobs(engine), len(dlq("list")[1]), told(engine)) == ([], 3, [])


@pytest.mark.requirement("A36")
def test_a_letter_that_always_comes_back_is_sent_again_a_few_times(dlq: Answer, engine: Engine) -> None:
    for turn in range(MOST_REDRIVES):
        (letter,) = dlq("list", "--tenant", "globex")[1]
        assert letter["redrives"] == turn
        assert dlq("redrive", str(letter["id"]))[0] == 0
        set_aside(engine)
    (letter,) = dlq("list", "--tenant", "globex")[1]
    code, answer = dlq("redrive", str(letter["id"]))
    assert (code, answer["redriven"], [one["id"] for one in answer["refused"]]) == (1, [], [letter["id"]])
    assert "discard" in answer["refused"][0]["reason"]


def test_a_discarded_letter_is_never_sent_again(dlq: Answer, engine: Engine) -> None:
    assert dlq("discard", "2") == (0, {"discarded": [2], "refused": [], "dryRun": False})
    assert dlq("redrive", "2")[0] == 1
    assert dlq("discard", "2")[0] == 1
    assert jobs(engine) == []
    assert dlq("show", "2")[1]["settled"] == "discarded"


@pytest.mark.requirement("A36")
def test_every_change_is_audited_with_its_outcome(dlq: Answer, engine: Engine) -> None:
    dlq("redrive", "1")
    dlq("discard", "2")
    dlq("redrive", "2")
    assert told(engine) == [
        ("dlq redrive", "acme", "dead-letters/1", "done"),
        ("dlq discard", "globex", "dead-letters/2", "done"),
        ("dlq redrive", "globex", "dead-letters/2", "refused"),
    ]


def told(engine: Engine) -> list[tuple[str, str, str, str]]:
    columns = (audit.c.action, audit.c.tenant, audit.c.resource, audit.c.outcome)
    with reading(engine) as connection:
        return [tuple(row) for row in connection.execute(select(*columns).order_by(audit.c.id))]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["redrive"], 2),
        (["redrive", "1", "--all"], 2),
        (["redrive", "99"], 2),
        (["redrive", "1", "--rate", "0"], 2),
        (["redrive", "1", "--broker-url", "amqp://x"], 2),
        (["show", "99"], 2),
        (["list", "--limit", "0"], 2),
    ],
)
def test_what_an_operator_can_mend_is_said(
    engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int
) -> None:
    assert main(["dlq", *words, "--store-url", f"sqlite:///{tmp_path}/store.db"]) == code
    assert capsys.readouterr().err.startswith("tenon dlq: ")
