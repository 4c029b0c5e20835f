"""`tenon COMMAND`: a table of commands, each imported only when it is called.

So `tenon render` needs no torch and `tenon prove` no Node.
"""

import argparse
import importlib
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tenon.output import CommandError, say

# command -> (module, one line of help); a module has `arguments(parser)` and `run(options) -> int`
COMMANDS = {
    "render": ("tenon.render", "tenants/ + platform.yaml -> rendered/"),
    "new": ("tenon.new", "write a commented tenant file that passes"),
    "diff": ("tenon.diff", "what a change does: removals, flows, rights, GPUs and cost, objects"),
    "lint": ("tenon.lint", "what anyone's Cilium policies open, lose or leave undone"),
    "prove": ("tenon.prove", "prove from rendered/ that no tenant can reach another"),
    "why": ("tenon.why", "what allows or denies a flow, and the smallest change that would flip it"),
    "verdicts": ("tenon.verdicts", "policy worlds and flows in, verdicts out, as JSON Lines"),
    "data": ("tenon.data", "filter and tokenise the rows of a training job, and show what it would learn"),
    "train": ("tenon.train", "run one training job on this machine"),
    "up": ("tenon.up", "the whole job path on this machine"),
    "jobs": ("tenon.jobs", "list, show, cancel, pause, resume, retry jobs; what they cost"),
    "dlq": ("tenon.dlq", "list, show, redrive, discard the messages that could not be handled"),
    "promote": ("tenon.promote", "gate -> model record -> re-render -> commit"),
    "audit": ("tenon.audit", "verify the record of who changed what"),
    "verify": ("tenon.verify", "whether a model version is what was published, and who signed it"),
    "demo": ("tenon.demo", "tenant file -> rendered tree -> proof -> job -> promotion, on this machine"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    parser = argparse.ArgumentParser(prog="tenon", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, help_line) in COMMANDS.items():
        command = commands.add_parser(name, help=help_line, description=help_line)
        if words[:1] == [name]:
            command.add_argument("--root", type=Path, default=Path(), help="folder of platform.yaml (default: here)")
            command.add_argument("--json", action="store_true", help="print one JSON document on stdout")
            importlib.import_module(module).arguments(command)
    options = parser.parse_args(words)
    try:
        return int(importlib.import_module(COMMANDS[options.command][0]).run(options))
    except CommandError as error:
        say(f"tenon {options.command}: {error}")
        return int(error.code)
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    except BrokenPipeError:
        return 128 + signal.SIGPIPE  # as of any tool whose reader left: neither "holds" nor "broken" was told


if __name__ == "__main__":
    sys.exit(main())
