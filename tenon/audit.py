"""`tenon audit verify`: whether the audit is as it was written. Remember the head it prints, and give it next time."""

import argparse
import re
from typing import Any

from tenon import store
from tenon.output import ExitCode, answer_json, say

_DIGEST = re.compile(r"[0-9a-f]{64}")


def arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    text = "walk the chain and name the first row that breaks it"
    verify: argparse.ArgumentParser = verbs.add_parser("verify", help=text, description=text)
    store.arguments(verify)
    verify.add_argument("--head", type=_digest, help="a head printed before: it must still be in the chain")
    verify.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON document")


def run(options: argparse.Namespace) -> int:
    from app.store.audit import verify

    with store.opened(options) as engine:
        found = verify(engine, head=options.head)
    broken: dict[str, Any] | None = {"row": found.broken.row, "why": found.broken.why} if found.broken else None
    if options.json:
        answer_json({"rows": found.rows, "head": found.head, "broken": broken})
    elif found.broken:
        say(f"BROKEN at row {found.broken.row}: {found.broken.why}")
        say(f"the {found.rows} rows before it hold; compare with a backup of the store from before")
    else:
        say(f"{found.rows} rows hold; head {found.head}")
    return int(ExitCode.CHECK_FAILED if found.broken else ExitCode.OK)


def _digest(text: str) -> str:
    if not _DIGEST.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no head; give the 64 characters that `tenon audit verify` printed"
        )
    return text
