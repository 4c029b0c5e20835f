"""`tenon why SRC DST`: what allows or denies a flow, by rule, file and tenant key, and the smallest flip of it."""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tenon.clusters import clusters
from tenon.garbage import no_garbage
from tenon.output import CommandError, ExitCode, answer_json, answer_text

if TYPE_CHECKING:
    from isolation.answers.flips import Change, Flip
    from isolation.answers.locks import Lock
    from isolation.answers.why import Answer, Way
    from isolation.policies.parsing import Rule

_EPILOG = """\
SRC  <tenant>/train or <tenant>/serve, with or without /<account>; <namespace>/<account> of the platform, as
     tenon-system/router; host, world, ingress or another entity
DST  the same; s3:<tenant> for its bucket; dns:<name> for a question to the resolver; ip:<address>[:port];
     a Service, <name>.<namespace>.svc[:port]; or a host, <name>[:port], port 443 by default: outside, or one of the
     public entrance, which leads over its routes to the pods behind
The smallest change is the one of the fewest lines; each that is named was tried on the policies.
It answers a question, so it exits 0 for allow and for deny; 2 for a word that means nobody.
"""
_GROUPS = 4  # that people get to read; --json has all
_BY = 3  # rules of each lock
_PORTS = 3  # of each group
_VALUES = {"allow": "ALLOWED", "deny": "DENIED"}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("source", metavar="SRC", help="whose pods send")
    parser.add_argument("destination", metavar="DST", help="where to")
    parser.add_argument(
        "--port", metavar="N[/PROTOCOL]", help="one port (default: every port, TCP where none is named)"
    )
    parser.add_argument("--tree", type=Path, help="one cluster's folder (default: the one below rendered/)")


def run(options: argparse.Namespace) -> int:
    from isolation.answers.flips import flip
    from isolation.answers.questions import QuestionError, port_of, question
    from isolation.answers.why import why
    from isolation.classes.cluster import cluster_of
    from isolation.manifests.refusals import Refused
    from isolation.manifests.tree import read_tree

    folder = _folder(options.root, options.tree)
    try:
        with no_garbage():
            cluster = cluster_of(read_tree(folder))
        port = None if options.port is None else port_of(options.port)
        asked = question(cluster, options.source, options.destination, port=port)
        found = why(cluster, asked)
        change = flip(cluster, found)
    except QuestionError as error:
        raise CommandError(str(error)) from None
    except Refused as refused:
        raise CommandError(f"{folder}: not understood, so no flow of it is:\n{refused}") from None
    told = _Told(options.root, found)
    if options.json:
        answer_json({"source": options.source, "destination": options.destination, **told.document(change)})
    else:
        answer_text(told.text(f"{options.source} -> {options.destination}", change))
    return int(ExitCode.OK)


def _folder(root: Path, tree: Path | None) -> Path:
    found = clusters(root, tree)
    if len(found) > 1:
        raise CommandError(f"{root}: holds {len(found)} clusters; name one, as --tree {found[0]}")
    return found[0]


class _Told:
    """One answer, for people and for machines."""

    def __init__(self, root: Path, answer: "Answer") -> None:
        self.root, self.answer = root, answer

    def text(self, title: str, change: "Flip") -> str:
        outcome = self.answer.outcome
        parts = [f"{_VALUES.get(outcome, outcome.upper())}  {title}{self._open_ports()}\n"]
        groups = self.answer.groups
        parts += [self._group(ways) for ways in groups[:_GROUPS]]
        if len(groups) > _GROUPS:
            parts.append(f"\nand {len(groups) - _GROUPS} more groups of pods and ports; --json has all\n")
        return "".join([*parts, "\n", *self._flip(change)])

    def document(self, change: "Flip") -> dict[str, Any]:
        return {
            "verdict": self.answer.outcome,
            "groups": [
                {
                    "flows": [_shown([way]) for way in ways],
                    "open": ways[0].is_open,
                    "locks": [self._lock_document(lock) for lock in ways[0].locks],
                }
                for ways in self.answer.groups
            ],
            "flip": {
                "single": change.is_single,
                "tried": change.tried,
                "changes": [self._change_document(each) for each in change.changes],
            },
        }

    def _open_ports(self) -> str:
        ports = sorted({way.port for way in self.answer.ways if way.is_open and way.port})
        if not ports or len(self.answer.question.ports) == 1:
            return ""
        if len(ports) == len(self.answer.question.ports):
            return " on every port"
        return f" on {', '.join(map(str, ports))}"

    def _group(self, ways: "tuple[Way, ...]") -> str:
        lines = [f"\n{_shown(ways)}\n"]
        for lock in ways[0].locks:
            lines.append(f"  {lock.kind:<12} {lock.answer}\n")
            lines += [f"{'':<15}{line}\n" for line in self._rules(lock)]
        return "".join(lines)

    def _rules(self, lock: "Lock") -> "Iterable[str]":
        for rule in lock.by[:_BY]:
            yield self._place(rule)
            yield f"  {_path(rule)}{self._from(rule.origin.document.file)}"
        if len(lock.by) > _BY:
            yield f"and {len(lock.by) - _BY} more rules"

    def _lock_document(self, lock: "Lock") -> dict[str, Any]:
        rules = [
            {"place": self._place(rule), "path": _path(rule), "from": self._key(rule.origin.document.file)}
            for rule in lock.by
        ]
        return {"lock": lock.kind, "open": lock.is_open, "answer": lock.answer, "rules": rules}

    def _flip(self, change: "Flip") -> "Iterable[str]":
        verb = "close" if self.answer.is_open else "open"
        if not change.changes:
            yield f"no single change, nor one for each lock, was found that would {verb} it ({change.tried} tried)\n"
            return
        if change.is_single:
            yield f"would {verb} with one change:\n"
        else:
            yield f"no single change would {verb} it; these {len(change.changes)} together would:\n"
        for each in change.changes:
            yield from (f"  {line}\n" for line in self._change(each))
        if verb == "open" and self._is_crossing(change):
            yield "  no tenant key does that, and `tenon prove` would not hold any more\n"

    def _change(self, change: "Change") -> "Iterable[str]":
        if change.key:
            word = "add" if change.is_addition else "remove"
            yield f"{self._input(change)}: {word} {change.host}, and render; that changes"
        for edit in change.edits:
            file = edit.document.file
            yield f"{'' if edit.is_new else self._relative(file)}{'' if edit.is_new else ':'}".strip() or "a new file:"
            yield f"  {edit}{self._from(file)}"

    def _change_document(self, change: "Change") -> dict[str, Any]:
        edits = [
            {
                "file": None if edit.is_new else self._relative(edit.document.file),
                "what": str(edit),
                "lines": edit.size,
                "from": self._key(edit.document.file),
            }
            for edit in change.edits
        ]
        key = {"place": self._input(change), "host": change.host, "adds": change.is_addition} if change.key else None
        return {"edits": edits, "key": key}

    def _is_crossing(self, change: "Flip") -> bool:
        """Between two tenants, which no file of theirs can ask for."""
        if any(each.key for each in change.changes):
            return False
        owners = {party.role.tenant for party in self.answer.question.sources}
        owner = self.answer.question.bucket_owner
        others = {owner} if owner else {party.role.tenant for party in self.answer.question.destinations}
        return bool(others) and None not in owners | others and not owners & others

    def _input(self, change: "Change") -> str:
        from tenon.provenance import input_key

        return str(input_key(self.root, f"tenants/{change.tenant}.yaml", change.key, value=change.host))

    def _place(self, rule: "Rule") -> str:
        document = rule.origin.document
        return f"{self._relative(document.file)}:{document.line(rule.origin.path)}"

    def _relative(self, file: str) -> str:
        path = Path(file)
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else file

    def _key(self, file: str) -> str | None:
        from tenon.provenance import input_behind

        found = input_behind(self.root, Path(file), value=self.answer.question.name)
        return None if found is None else str(found)

    def _from(self, file: str) -> str:
        key = self._key(file)
        return f", from {key}" if key else ""


def _path(rule: "Rule") -> str:
    from isolation.manifests.node import dotted

    return dotted(rule.origin.path)


def _shown(ways: "Sequence[Way]") -> str:
    """`acme-train/{step,trainer} -> storage/s3-acme 8333/TCP`."""
    sources = _joined(str(way.source) for way in ways)
    if ways[0].destination is None:
        return sources
    ports = list(dict.fromkeys(str(way.port) for way in ways))
    shown = ", ".join(ports[:_PORTS]) + (f" and {len(ports) - _PORTS} more ports" if len(ports) > _PORTS else "")
    return f"{sources} -> {_joined(str(way.destination) for way in ways)} {shown}"


def _joined(names: Iterable[str]) -> str:
    """Accounts of one namespace in braces."""
    accounts: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        namespace, _, account = name.partition("/")
        accounts.setdefault(namespace, []).append(account)
    return ", ".join(
        f"{namespace}/{found[0] if len(found) == 1 else '{' + ','.join(found) + '}'}".removesuffix("/")
        for namespace, found in accounts.items()
    )
