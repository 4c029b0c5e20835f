"""`tenon verify FOLDER [--key PUBLIC.pem]`: whether a model version is what was published, and who signed it."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tenon.output import CommandError, ExitCode, answer_json, answer_table, say

if TYPE_CHECKING:
    from trainer.publishing.checking import Verified

_SHOWN = ("version", "tenant", "job", "adapterDigest", "baseDigest", "nonCommercial")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="of a model version: models/<model>/<version>")
    parser.add_argument("--key", type=Path, metavar="PUBLIC.pem", help="the signer's public key; unsigned then fails")


def run(options: argparse.Namespace) -> int:
    """Print what is wrong, or that nothing is; 1 when something is."""
    from trainer.outcomes import BadInput
    from trainer.publishing.checking import check
    from trainer.publishing.manifest import Incomplete

    try:
        found = check(options.folder, public_key=options.key)
    except (BadInput, Incomplete) as error:
        raise CommandError(str(error)) from None
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}; give a folder that can be read") from None
    if options.json:
        answer_json(_document(found))
    else:
        _answer(options.folder, found)
    return ExitCode.OK if found.holds else ExitCode.CHECK_FAILED


def signature(found: "Verified") -> str:
    """What is known of the signer: `checked` only when it holds under the given key."""
    if not found.is_signed:
        return "unsigned"
    return "checked" if found.is_checked else "not checked: give --key"


def _document(found: "Verified") -> dict[str, Any]:
    findings = [{"rule": each.rule, "file": each.file, "text": each.text} for each in found.findings]
    return {
        "holds": found.holds,
        "files": found.files,
        "signature": signature(found),
        "version": found.facts,
        "findings": findings,
    }


def _answer(folder: Path, found: "Verified") -> None:
    if found.holds:
        facts = [(name, str(found.facts.get(name))) for name in _SHOWN]
        rows = [*facts, ("files", found.files), ("signature", signature(found))]
        answer_table(f"{folder}", ("fact", "value"), rows)
        return
    answer_table(f"{folder}", ("rule", "file", "finding"), [(one.rule, one.file, one.text) for one in found.findings])
    number = len(found.findings)
    say(f"{number} {'finding' if number == 1 else 'findings'}; do not serve this version")
