"""`tenon dlq`: the messages that were set aside; an operator sends them again or gives them up. Each change is audited.

They are listed from the store, whichever broker they came from; `--broker-url` says where they are sent again.
"""

import argparse
import base64
import json
import os
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tenon import store
from tenon.output import CommandError, ExitCode, answer_json, answer_table, say

if TYPE_CHECKING:
    from app.audit import Audit
    from app.broker.dead_letters import DeadLetter, DeadLetters, Selection

SHOWN = 50
PAGE = 100
RATE = 20.0  # letters per second


def arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    listed = _verb(verbs, "list", "the letters that are open, oldest first")
    _filters(listed)
    listed.add_argument("--limit", type=int, default=SHOWN, help=f"at most so many (default {SHOWN})")
    _verb(verbs, "show", "a letter with its headers and its message").add_argument("letter", type=int, help="its id")
    for name, text in (
        ("redrive", "send letters again, as they were first found"),
        ("discard", "give letters up; they stay in the store as discarded"),
    ):
        verb = _verb(verbs, name, text)
        verb.add_argument("letters", type=int, nargs="*", help="their ids; or a filter, or --all")
        _filters(verb)
        verb.add_argument("--all", action="store_true", help="every open letter")
        verb.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
        verb.add_argument("--rate", type=float, default=RATE, help=f"at most so many a second (default {RATE:g})")
        if name == "redrive":
            default = os.environ.get("TENON_BROKER_URL") or "sql"
            verb.add_argument("--broker-url", default=default, help="default: TENON_BROKER_URL, else the store")


def _verb(verbs: Any, name: str, text: str) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=text)
    store.arguments(made)
    made.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON document")
    return made


def _filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tenant", help="of one tenant")
    parser.add_argument("--reason", help="set aside for this reason, a code as `list` shows them")
    parser.add_argument("--since", type=_moment, help="set aside then or later: 2026-11-22 or 2026-11-22T10:00")
    parser.add_argument("--until", type=_moment, help="set aside before then")


def _moment(text: str) -> datetime:
    """In UTC where the text names no zone."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date or time; write 2026-11-22T10:00") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def run(options: argparse.Namespace) -> int:
    from app.broker.dead_letters import DeadLetters
    from app.broker.queue import BrokerUnavailable
    from app.settings import SettingsError

    try:
        with store.opened(options) as engine:
            letters = DeadLetters(engine)
            match options.verb:
                case "list":
                    return _list(letters, options)
                case "show":
                    return _show(_found(letters, options.letter), is_json=options.json)
                case _:
                    return _change(letters, options)
    except BrokerUnavailable as error:
        raise CommandError(str(error), ExitCode.UNAVAILABLE) from None
    except SettingsError as error:
        raise CommandError(str(error)) from None


def _list(letters: "DeadLetters", options: argparse.Namespace) -> int:
    if options.limit < 1:
        raise CommandError(f"--limit {options.limit}: shows nothing; give 1 or more")
    found = letters.list(_selection(options), limit=options.limit)
    if options.json:
        answer_json([_document(letter) for letter in found])
        return int(ExitCode.OK)
    columns = ("id", "tenant", "reason", "tries", "redrives", "set aside", "error")
    rows = [
        (one.id, _plain(one.tenant or "-"), one.reason, one.attempts, one.redrives, _when(one), _plain(one.error))
        for one in found
    ]
    answer_table(f"{letters.depth()} open", columns, rows)
    return int(ExitCode.OK)


def _show(letter: "DeadLetter", *, is_json: bool) -> int:
    headers = [(name, _text(value)) for name, value in letter.headers]
    if is_json:
        answer_json({**_document(letter), "headers": headers, "value": _text(letter.value)})
        return int(ExitCode.OK)
    answer_table("", ("", ""), [(key, value) for key, value in _document(letter).items() if value is not None])
    answer_table("headers", ("name", "value"), headers)
    answer_table("value", ("",), [(_text(letter.value),)])
    return int(ExitCode.OK)


def _change(letters: "DeadLetters", options: argparse.Namespace) -> int:
    """Redrive or discard what was asked for, at the rate; 1 where a letter was refused."""
    from app.audit import Audit
    from app.broker.by_url import outlet
    from app.broker.redriving import Redriver, Refused, check, discard

    if options.rate <= 0:
        raise CommandError(f"--rate {options.rate:g}: does nothing; give more than 0")
    redriver = Redriver(letters, outlet(options.broker_url, letters.engine)) if options.verb == "redrive" else None
    done, refused = list[int](), dict[int, str]()
    for letter in _wanted(letters, options):
        try:
            if redriver is not None:
                check(letter)
            if not options.dry_run:
                if redriver is not None:
                    redriver.redrive(letter)
                else:
                    discard(letter, letters)
                time.sleep(1 / options.rate)
            done.append(letter.id)
        except Refused as error:
            refused[letter.id] = str(error)
        if not options.dry_run:
            _note(Audit(letters.engine), options.verb, letter, refused.get(letter.id))
    _tell(options, done, refused)
    return int(ExitCode.CHECK_FAILED if refused else ExitCode.OK)


def _wanted(letters: "DeadLetters", options: argparse.Namespace) -> "Iterator[DeadLetter]":
    """By ids, or by filter; a letter that comes in meanwhile, as one redriven may, is not among them."""
    has_filter = any((options.tenant, options.reason, options.since, options.until))
    if sum((bool(options.letters), has_filter, options.all)) != 1:
        raise CommandError(f"{options.verb}: give ids, or filters, or --all; `tenon dlq list` shows the letters")
    if options.letters:
        yield from [_found(letters, letter) for letter in dict.fromkeys(options.letters)]
        return
    selection, after = _selection(options, until=options.until or datetime.now(UTC)), 0
    while page := letters.list(selection, after=after, limit=PAGE):
        yield from page
        after = page[-1].id


def _found(letters: "DeadLetters", number: int) -> "DeadLetter":
    if (letter := letters.get(number)) is None:
        raise CommandError(f"dead letter {number}: there is none; `tenon dlq list` shows those that are open")
    return letter


def _selection(options: argparse.Namespace, *, until: datetime | None = None) -> "Selection":
    from app.broker.dead_letters import Selection

    return Selection(options.tenant, options.reason, options.since, until or options.until)


def _note(audit: "Audit", verb: str, letter: "DeadLetter", refusal: str | None) -> None:
    audit.note(
        actor=store.operator(),
        tenant=letter.tenant,
        action=f"dlq {verb}",
        resource=f"dead-letters/{letter.id}",
        outcome="refused" if refusal else "done",
        reason=refusal or letter.reason,
    )


def _tell(options: argparse.Namespace, done: Sequence[int], refused: dict[int, str]) -> None:
    verb = {"redrive": "redriven", "discard": "discarded"}[options.verb]
    if options.json:
        told = [{"id": letter, "reason": text} for letter, text in refused.items()]
        answer_json({verb: done, "refused": told, "dryRun": options.dry_run})
    for letter, text in refused.items():
        say(f"dead letter {letter}: {text}")
    say(f"{len(done)} {'would be ' if options.dry_run else ''}{verb}, {len(refused)} refused")


def _document(letter: "DeadLetter") -> dict[str, Any]:
    headers = dict(letter.headers)
    return {
        "id": letter.id,
        "job": _text(headers["ce_id"]) if "ce_id" in headers else None,
        "tenant": letter.tenant,
        "reason": letter.reason,
        "error": letter.error,
        "attempts": letter.attempts,
        "redrives": letter.redrives,
        "topic": letter.topic,
        "position": letter.position,
        "traceparent": letter.traceparent,
        "rejectedAt": letter.rejected_at.isoformat(),
        "settled": letter.settled,
        "settledAt": letter.settled_at.isoformat() if letter.settled_at else None,
    }


def _text(value: bytes | None) -> str | None:
    """As text that no terminal takes for commands; what is no UTF-8 in base64."""
    if value is None:
        return None
    try:
        return _plain(value.decode())
    except UnicodeDecodeError:
        return f"base64:{base64.b64encode(value).decode()}"


def _plain(text: str) -> str:
    return text if text.isprintable() else json.dumps(text)


def _when(letter: "DeadLetter") -> str:
    return f"{letter.rejected_at:%Y-%m-%d %H:%M}"
