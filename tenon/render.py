"""`tenon render`: write rendered/, or say how it differs from what the inputs lead to."""

import argparse
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tenon.output import CommandError, ExitCode, answer_json, console, say

if TYPE_CHECKING:
    from generators.rendering import Difference
    from generators.rendering import Progress as Told

_KILLED = ExitCode.UNAVAILABLE
_SHOWN = 20  # paths of each kind that people get to read; --json has all


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when rendered/ is out of date")
    parser.add_argument("--only", metavar="TENANT", help="render one tenant's folder alone")


def run(options: argparse.Namespace) -> int:
    gc.disable()  # what is read and imported lives until the end; looking through it took a fifth of the time
    try:
        return _render(options)
    finally:
        gc.enable()


def _render(options: argparse.Namespace) -> int:
    from concurrent.futures.process import BrokenProcessPool

    from generators.inputs.reading import InputErrors
    from generators.rendering import HalfWrittenError, UnknownTenantError, render

    try:
        with _bar() as progress:
            rendering = render(options.root, only=options.only, progress=progress)
        found = rendering.compare(options.root) if options.check else rendering.write(options.root)
    except (InputErrors, UnknownTenantError) as error:
        raise CommandError(str(error)) from None
    except BrokenProcessPool as error:
        raise CommandError(f"a process of the rendering was killed ({error}); is memory short?", _KILLED) from None
    except HalfWrittenError as error:
        what = f"{error.filename}: cannot be written ({error.strerror})"
        raise CommandError(
            f"{what}; rendered/ is half written: mend that and run `tenon render{_only(options)}`"
        ) from None
    except OSError as error:
        raise CommandError(f"{error.filename}: cannot be read ({error.strerror}); mend it and render again") from None
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
        say(f"{rendering.folder} is out of date; run `tenon render{_only(options)}` and commit the result")
        return int(ExitCode.CHECK_FAILED)
    return int(ExitCode.OK)


def _only(options: argparse.Namespace) -> str:
    """The words that make another call render the same."""
    return f" --only {options.only}" if options.only else ""


@contextmanager
def _bar() -> "Iterator[Told]":
    """A bar on a terminal; nothing elsewhere. It goes when the work is done."""
    columns = (TextColumn("rendering"), BarColumn(), MofNCompleteColumn(), TextColumn("tenants"), TimeRemainingColumn())
    terminal = console(stderr=True)
    with Progress(*columns, console=terminal, transient=True, disable=not terminal.is_terminal) as bar:
        task = bar.add_task("tenants", total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


def _tell(found: "Difference", *, checked: bool) -> None:
    words = ("missing", "stale", "different") if checked else ("added", "removed", "changed")
    for word, paths in zip(words, (found.missing, found.stale, found.different), strict=True):
        for path in paths[:_SHOWN]:
            say(f"{word:>9}  {path}")
        if len(paths) > _SHOWN:
            say(f"{word:>9}  and {len(paths) - _SHOWN} more")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
