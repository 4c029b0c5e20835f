"""`tenon lint FILE...`: what anyone's Cilium policies open, lose or leave undone, without tenant files or a cluster."""

import argparse
import json
import os
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tenon.output import WIDTH, CommandError, ExitCode, answer_json, answer_table, answer_text, say
from tenon.sarif import Finding as SarifFinding
from tenon.sarif import Rule as SarifRule
from tenon.sarif import sarif

if TYPE_CHECKING:
    from isolation.linting.findings import Finding
    from isolation.linting.inputs import Inputs
    from isolation.linting.linter import Report

MAX_BYTES = 8 << 20
_SUFFIXES = frozenset({".yaml", ".yml", ".json"})
_STDIN = "stdin"
_FIELDS = ("id", "name", "severity", "explanation", "fix", "bad", "good")  # of a rule, in --list --json
_OPEN = ("/dev/fd/", "/dev/stdin")  # what a shell opened for us, as by <(...)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", nargs="*", metavar="FILE", help="manifests, folders (hidden ones are passed over), or - for stdin"
    )
    parser.add_argument("--list", action="store_true", help="print the rules instead")
    parser.add_argument("--markdown", action="store_true", help="with --list: as a page, with examples")
    parser.add_argument("--disable", action="append", default=[], metavar="ID", help="leave a rule out (repeatable)")
    parser.add_argument(
        "--fail-on",
        choices=("error", "warning", "note", "never"),
        default="error",
        help="exit 1 on findings at least this bad (default: error)",
    )
    parser.add_argument("--sarif", metavar="FILE", help="write the findings for code scanning; - for stdout")


def run(options: argparse.Namespace) -> int:
    from isolation.linting.inputs import Inputs
    from isolation.linting.linter import lint

    without = _known(options.disable)
    if options.list:
        _tell_rules(options)
        return int(ExitCode.OK)
    if not options.files:
        raise CommandError("name files, folders, or - for standard input; --list prints the rules")
    if options.json and options.sarif == "-":
        raise CommandError("--json and --sarif - both want standard output; name a file for --sarif")
    inputs = Inputs()
    for name in options.files:
        _read(name, inputs)
    report = lint(inputs, without=without)
    _answer(report, options)
    if report.is_unreadable:
        return int(ExitCode.BAD_INPUT)
    return int(ExitCode.CHECK_FAILED if _is_bad(report, options.fail_on) else ExitCode.OK)


def _known(disabled: Sequence[str]) -> frozenset[str]:
    from isolation.linting.catalogue import catalogue

    ids = {rule_id.strip() for text in disabled for rule_id in text.split(",")}
    if unknown := sorted(ids - catalogue().keys()):
        raise CommandError(f"--disable {', '.join(unknown)}: no such rule; `tenon lint --list` has them")
    return frozenset(ids)


def _read(name: str, inputs: "Inputs") -> None:
    """One argument. Raises CommandError for what is not there."""
    if name == "-":
        _take(_STDIN, sys.stdin.buffer.read(MAX_BYTES + 1), inputs)
        return
    path = Path(name)
    if not name or not path.exists():
        raise CommandError(f"{name or repr('')}: no such file or folder")
    if not path.is_dir():
        _open(path, inputs)
        return
    found = list(_manifests(path))
    if not found:
        raise CommandError(f"{name}: holds no .yaml, .yml or .json file")
    for file in found:
        _open(file, inputs)


def _manifests(folder: Path) -> Iterator[Path]:
    """Below the folder, sorted. Raises CommandError for a folder that cannot be listed."""
    for place, folders, files in os.walk(folder, onerror=_unlisted):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for file in sorted(files):
            path = Path(place, file)
            if path.suffix in _SUFFIXES and path.exists():
                yield path


def _unlisted(error: OSError) -> None:
    raise CommandError(f"{error.filename}: cannot be listed ({error.strerror})")


def _open(path: Path, inputs: "Inputs") -> None:
    if not (path.is_file() or str(path).startswith(_OPEN)):
        inputs.refuse(str(path), "is a pipe or a device, which may never end; hand it over by - as standard input")
        return
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        inputs.refuse(str(path), f"cannot be read ({error.strerror})")
        return
    _take(str(path), data, inputs)


def _take(name: str, data: bytes, inputs: "Inputs") -> None:
    if len(data) > MAX_BYTES:
        inputs.refuse(name, f"is larger than {MAX_BYTES >> 20} MiB; split it")
        return
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        inputs.refuse(name, f"is no UTF-8 text (byte {error.start})")
        return
    inputs.add(name, text)


def _answer(report: "Report", options: argparse.Namespace) -> None:
    if options.sarif:
        text = json.dumps(_sarif(report), indent=2) + "\n"
        if options.sarif == "-":
            answer_text(text)
            return
        try:
            Path(options.sarif).write_text(text, encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{options.sarif}: cannot be written ({error.strerror})") from None
    if options.json:
        answer_json(_document(report))
    else:
        answer_text("".join(_lines(report.findings)))
        say(_summary(report))


def _lines(findings: Sequence["Finding"]) -> Iterator[str]:
    """Grouped by file; each finding with its remedy, and with its rule's explanation once per file."""
    from isolation.linting.catalogue import catalogue

    file, explained = None, set[str]()
    for finding in findings:
        if finding.file != file:
            yield f"{finding.file}\n" if file is None else f"\n{finding.file}\n"
            file, explained = finding.file, set()
        rule = catalogue()[finding.rule]
        head = f"{finding.severity} {finding.rule} {rule.name}: {finding.message}"
        yield _wrapped(head, first=f"{finding.line:>5}  ")
        if finding.subject:
            yield _wrapped(f"at {finding.subject} {finding.path}".rstrip())
        if finding.rule not in explained:
            yield _wrapped(rule.explanation)
            explained.add(finding.rule)
        yield _wrapped(f"fix: {finding.fix}")


def _wrapped(text: str, first: str = " " * 7) -> str:
    indent = " " * 7
    return textwrap.fill(text, WIDTH, initial_indent=first, subsequent_indent=indent, break_on_hyphens=False) + "\n"


def _summary(report: "Report") -> str:
    counts = Counter(finding.severity for finding in report.findings)
    told = [_counted(counts[severity], severity) for severity in ("error", "warning", "note") if counts[severity]]
    looked = f"{_counted(report.policies, 'policy', 'policies')} in {_counted(report.files, 'file')}"
    others = f"; {_counted(report.passed_over, 'other object')} beside them" if report.passed_over else ""
    silenced = f"; {_counted(report.ignored, 'finding')} ignored by comments" if report.ignored else ""
    unread = f"; {_counted(report.not_read, 'document')} without policies not read" if report.not_read else ""
    return f"{', '.join(told) or 'clean'}: {looked}{others}{unread}{silenced}"


def _counted(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _is_bad(report: "Report", bar: str) -> bool:
    from isolation.linting.findings import SEVERITIES

    if bar == "never":
        return False
    counted = SEVERITIES[: SEVERITIES.index(bar) + 1]
    return any(finding.severity in counted for finding in report.findings)


def _document(report: "Report") -> dict[str, Any]:
    from isolation.linting.catalogue import catalogue

    rules = catalogue()
    return {
        "files": report.files,
        "policies": report.policies,
        "passedOver": report.passed_over,
        "notRead": report.not_read,
        "ignored": report.ignored,
        "counts": dict(Counter(finding.severity for finding in report.findings)),
        "findings": [
            {
                "rule": one.rule,
                "name": rules[one.rule].name,
                "severity": one.severity,
                "file": one.file,
                "line": one.line,
                "path": one.path,
                "object": one.subject or None,
                "message": one.message,
                "explanation": rules[one.rule].explanation,
                "fix": one.fix,
            }
            for one in report.findings
        ],
    }


def _sarif(report: "Report") -> dict[str, Any]:
    from isolation.linting.catalogue import catalogue

    rules = [SarifRule(rule.id, rule.name, rule.explanation, rule.fix) for rule in catalogue().values()]
    findings = [
        SarifFinding(one.rule, one.severity, f"{one.message}. {one.fix}", one.file, one.line) for one in report.findings
    ]
    return sarif(rules, findings)


def _tell_rules(options: argparse.Namespace) -> None:
    from isolation.linting.catalogue import catalogue
    from isolation.linting.page import catalogue_page

    rules = list(catalogue().values())
    if options.markdown:
        answer_text(catalogue_page())
    elif options.json:
        answer_json([{field: getattr(rule, field) for field in _FIELDS} for rule in rules])
    else:
        rows = [(rule.id, rule.severity, rule.name, rule.explanation) for rule in rules]
        answer_table(f"{len(rules)} rules", ("id", "severity", "name", "explanation"), rows)
