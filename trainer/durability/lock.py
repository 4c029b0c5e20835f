"""One process at a time in an attempt's local folder: two would remove each other's half-written checkpoints.

The lock is the kernel's, so a killed process leaves none behind.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trainer.outcomes import BadInput, Unavailable

_FILE = "lock"


@contextmanager
def alone_in(work: Path) -> Iterator[None]:
    """Hold the scratch folder of an attempt while it lasts. Raises BadInput, naming the process, when another does."""
    try:
        work.mkdir(parents=True, exist_ok=True)
        file = (work / _FILE).open("a+", encoding="utf-8")
    except OSError as error:
        raise Unavailable(f"{work}: cannot be written ({error.strerror}); free the disk or mend the path") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise BadInput(
                f"{work.parent}: is in use by process {file.read().strip()}; let it end, or give another folder"
            ) from error
        except OSError:
            pass  # a file system without locks
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
