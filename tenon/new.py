"""`tenon new TENANT`: a commented tenant file that passes, and on request its first model record."""

import argparse
from typing import TYPE_CHECKING

from tenon.output import CommandError, ExitCode, answer_json, say

if TYPE_CHECKING:
    from generators.scaffold import NewTenant


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("tenant", help="id: a lower-case DNS label of 3-32 characters")
    parser.add_argument("--owner", metavar="@ORG/TEAM", help="who approves changes (default: @TENANT/owners)")
    parser.add_argument("--flavor", help="GPU flavor of training (default: the first of platform.yaml)")
    parser.add_argument("--guaranteed", type=int, default=0, metavar="N", help="guaranteed GPUs (default: 0, borrow 1)")
    parser.add_argument("--model", metavar="NAME", help="write a model record too; needs --base")
    parser.add_argument("--base", help="base model of the catalogue, for --model")
    parser.add_argument("--api-key-id", metavar="ID", help="callers by API key instead of OIDC; needs the sha256 too")
    parser.add_argument("--api-key-sha256", metavar="HEX", help="sha256 of the whole key `ftk_<id>_<secret>`")


def run(options: argparse.Namespace) -> int:
    from generators.inputs.reading import InputErrors
    from generators.scaffold import ScaffoldError, create

    wanted = _wanted(options)
    try:
        paths = create(options.root, wanted)
    except ScaffoldError as error:
        raise CommandError(str(error)) from None
    except InputErrors as error:
        raise CommandError(f"tenant {wanted.id} is not written, because the inputs would not pass:\n{error}") from None
    except OSError as error:
        raise CommandError(f"{error.filename}: cannot be read ({error.strerror}); mend it and try again") from None
    shown = [path.relative_to(options.root).as_posix() for path in paths]
    if options.json:
        answer_json({"tenant": wanted.id, "files": shown})
    else:
        for path in shown:
            say(f"wrote {path}")
        say("next: `tenon render`, then `tenon prove`")
    return int(ExitCode.OK)


def _wanted(options: argparse.Namespace) -> "NewTenant":
    from generators.scaffold import NewModel, NewTenant

    for name in ("owner", "flavor", "model", "base", "api_key_id", "api_key_sha256"):
        if getattr(options, name) == "":
            raise CommandError(f"--{name.replace('_', '-')}: is empty; give a value, or leave the option out")
    if (options.model is None) != (options.base is None):
        raise CommandError("--model and --base: go together; a record names its base model")
    if (options.api_key_id is None) != (options.api_key_sha256 is None):
        raise CommandError("--api-key-id and --api-key-sha256: go together; a key is known by both")
    return NewTenant(
        id=options.tenant,
        owner=options.owner,
        flavor=options.flavor,
        guaranteed=options.guaranteed,
        api_key=(options.api_key_id, options.api_key_sha256) if options.api_key_id is not None else None,
        model=NewModel(options.model, options.base) if options.model is not None else None,
    )
