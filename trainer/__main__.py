"""`python -m trainer STEP`: one step (pipeline.COMMANDS), told by the environment (contract/steps.py).

The exit code says how it ended; the last line on stderr says why.
"""

import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from rich.console import Console

from trainer.contract.steps import DRIFT, Exit
from trainer.durability.interruption import signals_end_nothing, signals_end_the_step
from trainer.launch import RANK, die_with_launcher, is_needed, launch
from trainer.log import LogSink, logged
from trainer.outcomes import BadInput, Killed, Stopped, Unavailable
from trainer.pipeline import COMMANDS, run_step
from trainer.settings import Settings
from trainer.sinks import Sinks
from trainer.sinks.making import opened


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run one step and return its exit code."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    if len(arguments) != 1 or arguments[0] not in COMMANDS:
        return ended(lambda: _refuse(arguments))
    signals_end_the_step()  # steps with something to save put their own handler in its place
    die_with_launcher(environment)

    def step() -> int | None:
        if is_needed(arguments[0], environment):
            return launch(arguments[0], environment)
        of = Settings.of_version if arguments[0] == DRIFT.name else Settings.from_environment
        settings = of(environment)
        if environment.get(RANK, "0") != "0":
            run_step(arguments[0], settings, Sinks())
            return None
        terminal = console if (console := Console(stderr=True)).is_terminal else None
        with logged(settings, arguments[0]) as log, opened(settings, environment, terminal) as sinks:
            run_step(arguments[0], settings, sinks if log is None else Sinks([sinks, LogSink(log)]))
        return None

    return ended(step)


def ended(step: Callable[[], int | None]) -> Exit:
    """Run a step; its outcome as an exit code (its own, when it gives one), the reason as the last line on stderr."""
    try:
        try:
            return Exit(step() or Exit.DONE)
        finally:
            signals_end_nothing()
    except BadInput as error:
        return _say(Exit.BAD_INPUT, *error.details, str(error))
    except Unavailable as error:
        return _say(Exit.FAILED, str(error))
    except Stopped as error:
        return _say(Exit.STOPPED, str(error))
    except Killed as error:
        return _say(Exit.KILLED, str(error))
    except OSError as error:
        return _say(Exit.FAILED, f"{error.filename or 'system'}: {error.strerror or error}; look at disk and network")


def _say(code: Exit, *lines: str) -> Exit:
    for line in lines:
        sys.stderr.write(line + "\n")
    sys.stderr.flush()
    return code


def _refuse(arguments: Sequence[str]) -> NoReturn:
    raise BadInput(f"trainer {' '.join(arguments)}: is no step; use one of {', '.join(COMMANDS)}")


if __name__ == "__main__":
    code = main(sys.argv[1:], os.environ)
    sys.stdout.flush()
    os._exit(code)  # no library's exit hook (a tracker, NCCL) may hold the process up
