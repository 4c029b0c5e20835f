"""`tenon diff BASE HEAD`: what a change does to the cluster; each part of the project exports its section."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tenon.output import CommandError, ExitCode, answer_json, answer_table, answer_text, say
from tenon.revisions import files_of, rendered_at

if TYPE_CHECKING:
    from generators.changes.objects import Section
    from tenon.flow_changes import FlowSections

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
        flows = None if options.without_flows else _flows(old, new)
    _answer(options, _with_flows(sections, flows, is_for_people=not options.json), gone)
    return int(ExitCode.CHECK_FAILED if _is_failure(options, gone, flows) else ExitCode.OK)


def _is_failure(options: argparse.Namespace, gone: Sequence[str], flows: "FlowSections | None") -> bool:
    """Says why on stderr."""
    if flows is not None and flows.is_failure:
        say(f"{flows.breaks.title}; the first rows say what")
    if len(gone) > options.allow_removals:
        say(
            f"{len(gone)} tenants or namespaces would go and {options.allow_removals} may: {', '.join(gone)};"
            f" if that is meant, --allow-removals {len(gone)}"
        )
    return len(gone) > options.allow_removals or (flows is not None and flows.is_failure)


def _flows(old: Path, new: Path) -> "FlowSections":
    from tenon.flow_changes import flow_sections

    return flow_sections(old, new)


def _with_flows(sections: "Sequence[Section]", flows: "FlowSections | None", *, is_for_people: bool) -> "list[Section]":
    """What is broken stands first; a section of it that is empty is for machines alone."""
    if flows is None:
        return list(sections)
    if not is_for_people:
        return [flows.breaks, sections[0], flows.every, *sections[1:]]
    first = [flows.breaks] if flows.breaks.rows else []
    return [*first, sections[0], flows.grouped, *sections[1:]]


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
