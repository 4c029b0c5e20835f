"""`tenon diff BASE HEAD`: what a change does to the cluster; each part of the project exports its section."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tenon.output import CommandError, ExitCode, answer_json, answer_table, answer_text, say
from tenon.revisions import files_of, rendered_at

if TYPE_CHECKING:
    from generators.changes.objects import Section

_NAMESPACE = re.compile(r"(\S+)-(?:train|serve)/")
_SHOWN = 20  # rows of each table on a terminal
_ALLOWED = 1  # removed tenants and namespaces that need no flag


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("base", metavar="BASE", help="a git revision, or a folder that holds rendered/")
    parser.add_argument("head", metavar="HEAD", nargs="?", help="the same (default: --root as it is)")
    parser.add_argument("--markdown", action="store_true", help="print the pull request comment")
    parser.add_argument("--without-flows", action="store_true", help="leave out the flows, which take two proofs")
    allowed = f"tenants and namespaces that may go (default {_ALLOWED})"
    parser.add_argument("--allow-removals", metavar="N", type=int, default=_ALLOWED, help=allowed)


def run(options: argparse.Namespace) -> int:
    if options.json and options.markdown:
        raise CommandError("--json and --markdown: are two forms of one answer; choose one")
    if options.allow_removals < 0:
        raise CommandError(f"--allow-removals: {options.allow_removals} is below 0; give the number that may go")
    head = str(options.root) if options.head is None else options.head
    with rendered_at(options.root, options.base) as old, rendered_at(options.root, head) as new:
        sections, gone = _sections(old, new)
        if not options.without_flows:
            sections.insert(1, _flows(old, new))
    _answer(options, sections, gone)
    if len(gone) > options.allow_removals:
        say(
            f"{len(gone)} tenants or namespaces would go and {options.allow_removals} may: {', '.join(gone)};"
            f" if that is meant, --allow-removals {len(gone)}"
        )
        return int(ExitCode.CHECK_FAILED)
    return int(ExitCode.OK)


def _sections(old: Path, new: Path) -> "tuple[list[Section], tuple[str, ...]]":
    """The sections that need the files alone, and the tenants and namespaces that go."""
    from generators.changes.access import access_changes
    from generators.changes.gpus import gpu_changes
    from generators.changes.objects import NoObjectError, compare, object_changes
    from generators.changes.removals import removal_changes, removed_places

    base, head = files_of(old), files_of(new)
    try:
        changes = compare(base, head)
        sections = [
            removal_changes(changes, base, head),
            access_changes(changes, base, head),
            gpu_changes(changes, base, head),
            object_changes(changes),
        ]
    except NoObjectError as error:
        raise CommandError(str(error)) from None
    return sections, removed_places(changes, base, head)


def _flows(old: Path, new: Path) -> "Section":
    """Flows and names that are open for tenants' pods in one tree alone, by the judge's own answer."""
    from generators.changes.objects import Section

    (before, _), (after, proved) = _allowed(old), _allowed(new)
    opened, closed = after - before, before - after
    rows = sorted([(*flow, "opened") for flow in opened] + [(*flow, "closed") for flow in closed])
    title = f"Flows: {len(opened)} opened, {len(closed)} closed; isolation {proved}"
    ordered = tuple((owner, change, flow) for owner, flow, change in rows)
    return Section("flows", title, ("tenant", "change", "flow"), ordered)


def _allowed(folder: Path) -> tuple[set[tuple[str, str]], str]:
    """What is open, by owner, and whether isolation is proved."""
    from isolation.proof import prove
    from isolation.refusals import Refused

    found: set[tuple[str, str]] = set()
    broken: list[str] = []
    for cluster in sorted(path for path in folder.iterdir() if path.is_dir()):
        try:
            proof = prove(cluster)
        except Refused as refused:
            return found, f"NOT proved ({cluster.name}: {str(refused).splitlines()[0]})"
        found |= {(f"{cluster.name}/{_tenant(flow)}", flow) for flow in proof.allowed}
        broken += [f"{cluster.name} {result.name}" for result in proof.broken]
    return found, f"NOT proved ({', '.join(broken)})" if broken else "proved"


def _tenant(flow: str) -> str:
    """Whose pods a flow is about: the first namespace in it that is a tenant's."""
    found = _NAMESPACE.search(flow)
    return found[1] if found else "platform"


def _answer(options: argparse.Namespace, sections: "Sequence[Section]", gone: Sequence[str]) -> None:
    title = f"{options.base} -> {options.head or 'here'}"
    if options.json:
        found = {section.name: section.document for section in sections}
        answer_json({**found, "titles": {each.name: each.title for each in sections}, "removed": list(gone)})
    elif options.markdown:
        from tenon.comment import markdown

        answer_text(markdown(title, sections))
    else:
        for section in sections:
            if not section.rows:
                answer_text(f"{section.title}: no change\n")
                continue
            answer_text(f"{section.title}\n")
            answer_table("", section.columns, section.rows[:_SHOWN])
            if len(section.rows) > _SHOWN:
                say(f"and {len(section.rows) - _SHOWN} more; --markdown and --json have them")
