"""`python -m trainer prepare|train|evaluate|publish`: one step, told by the environment (trainer/contract/steps.py).

The exit code says how it ended; the last line on stderr says why.
"""

import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import NoReturn

from rich.console import Console

from trainer.contract.steps import Exit
from trainer.outcomes import BadInput, Killed, Stopped, Unavailable
from trainer.pipeline import STEPS, run_step
from trainer.settings import Settings
from trainer.sinks.making import opened


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run one step and return its exit code."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    if len(arguments) != 1 or arguments[0] not in STEPS:
        return ended(lambda: _refuse(arguments))
    signal.signal(signal.SIGTERM, _killed)  # steps with something to save put their own handler in its place

    def step() -> None:
        settings = Settings.from_environment(environment)
        console = Console(stderr=True)
        with opened(settings, environment, console if console.is_terminal else None) as sinks:
            run_step(arguments[0], settings, sinks)

    return ended(step)


def ended(step: Callable[[], None]) -> Exit:
    """Run a step; its outcome as an exit code, the reason as the last line on stderr."""
    try:
        step()
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
    return Exit.DONE


def _say(code: Exit, *lines: str) -> Exit:
    for line in lines:
        sys.stderr.write(line + "\n")
    sys.stderr.flush()
    return code


def _refuse(arguments: Sequence[str]) -> NoReturn:
    raise BadInput(f"trainer {' '.join(arguments)}: is no step; use one of {', '.join(STEPS)}")


def _killed(number: int, frame: FrameType | None) -> NoReturn:
    del number, frame
    raise Killed("asked to stop; the step begins anew when it is started again")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
