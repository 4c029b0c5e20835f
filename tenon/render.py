"""`tenon render`: write rendered/, or say how it differs from what the inputs lead to."""

import argparse
from typing import TYPE_CHECKING

from tenon.output import CommandError, ExitCode, answer_json, say

if TYPE_CHECKING:
    from generators.rendering import Difference

_SHOWN = 20  # paths of each kind that people get to read; --json has all


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when rendered/ is out of date")
    parser.add_argument("--only", metavar="TENANT", help="render one tenant's folder alone")


def run(options: argparse.Namespace) -> int:
    from generators.inputs.reading import InputErrors
    from generators.rendering import UnknownTenantError, render

    try:
        rendering = render(options.root, only=options.only)
        found = rendering.compare(options.root) if options.check else rendering.write(options.root)
    except (InputErrors, UnknownTenantError) as error:
        raise CommandError(str(error)) from None
    except OSError as error:
        raise CommandError(
            f"{error.filename}: cannot be written ({error.strerror}); mend it and render again"
        ) from None
    if options.json:
        answer_json(
            {
                "tenants": rendering.tenants,
                "files": len(rendering.files),
                "missing": found.missing,
                "stale": found.stale,
                "different": found.different,
            }
        )
    else:
        _tell(found, checked=options.check)
        say(f"{len(rendering.files)} files of {_count(len(rendering.tenants), 'tenant')} in {rendering.folder}")
    if options.check and found:
        only = f" --only {options.only}" if options.only else ""
        say(f"{rendering.folder} is out of date; run `tenon render{only}` and commit the result")
        return int(ExitCode.CHECK_FAILED)
    return int(ExitCode.OK)


def _tell(found: "Difference", *, checked: bool) -> None:
    words = ("missing", "stale", "different") if checked else ("added", "removed", "changed")
    for word, paths in zip(words, (found.missing, found.stale, found.different), strict=True):
        for path in paths[:_SHOWN]:
            say(f"{word:>9}  {path}")
        if len(paths) > _SHOWN:
            say(f"{word:>9}  and {len(paths) - _SHOWN} more")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
