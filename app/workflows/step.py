"""One step of a local workflow as a process: its environment, its lock, its end."""

import ctypes
import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from app.contract.internal import ATTEMPT_PARAMETER, JOB_PARAMETER, STATUS_PATH
from app.workflows.folder import LocalWorkflow
from app.workflows.progress import Ending
from trainer.contract import bucket, steps
from trainer.contract.steps import Step

INHERITED = ("PATH", "LANG", "LC_ALL", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
ERRORS = f"{bucket.LOG}.errors"  # stderr, apart: its last line is what a failed step has to say
MOST_MESSAGE_BYTES = 4096
MOST_FILE_BYTES = 100 * 2**30  # of the scratch volume that a pod has
_PR_SET_PDEATHSIG = 1

Command = Callable[[Step], Sequence[str]]


class CredentialsError(Exception):
    """The tenant's S3 credentials are missing or unreadable; the text says where they belong."""


@dataclass(frozen=True)
class Site:
    """Where local steps find things: the home, the object store, the base models and the watcher."""

    home: Path
    models_bucket: str
    s3_url: str | None
    status_port: int


def interpreter(step: Step) -> Sequence[str]:
    """The step's command, run by the interpreter that runs us."""
    return [sys.executable, *step.command[1:]]


def environment(workflow: LocalWorkflow, site: Site, *, folder: Path, traceparent: str) -> dict[str, str]:
    """Everything a step knows, built from nothing: one tenant's credentials and no variable of ours by accident.

    Raises CredentialsError, and ValueError where the parameters are no job.
    """
    job, attempt = workflow.parameters[JOB_PARAMETER], workflow.parameters[ATTEMPT_PARAMETER]
    path = STATUS_PATH.format(job=workflow.job.job, attempt=attempt)
    work = folder / "work"
    made = {name: os.environ[name] for name in INHERITED if name in os.environ}
    made |= _credentials(site.home / "credentials" / f"{workflow.tenant}.json")
    made |= {
        "HOME": str(work),  # no configuration of the person who started us
        steps.JOB: job,
        steps.ATTEMPT: attempt,
        steps.BUCKET_URL: f"s3://{workflow.bucket}",
        steps.MODELS_URL: f"s3://{site.models_bucket}",
        steps.WORK: str(work),
        steps.WITHOUT_GPUS: "1",
        steps.STATUS_URL: f"http://127.0.0.1:{site.status_port}{path}",
        steps.STATUS_TOKEN_FILE: str(folder / "token"),
        steps.TRACEPARENT: traceparent,
    }
    return made if site.s3_url is None else {**made, steps.S3_URL: site.s3_url}


class Lock:
    """The right to run an attempt. Steps inherit it, so that one which outlives its controller keeps it."""

    def __init__(self, folder: Path) -> None:
        self.descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)

    def taken(self) -> bool:
        """Take it, or close it and say False when a process holds it."""
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            return False
        return True

    def close(self) -> None:
        os.close(self.descriptor)


class StepProcess:
    """A step that was started."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], *, folder: Path, lock: Lock) -> None:
        self.folder = folder
        (folder / "work").mkdir(exist_ok=True, mode=0o700)
        with (folder / bucket.LOG).open("ab") as log, (folder / ERRORS).open("ab") as errors:
            self.begins_at = errors.tell()
            parent = os.getpid()
            self.process = subprocess.Popen(  # noqa: S603 - the command is the pipeline's
                command,
                env=dict(environment),
                cwd=folder / "work",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=errors,
                start_new_session=True,
                pass_fds=[lock.descriptor],
                preexec_fn=(lambda: bounded(parent)) if sys.platform == "linux" else None,  # noqa: PLW1509 - one thread
            )

    def terminate(self) -> None:
        self.process.terminate()

    def kill(self) -> None:
        self.process.kill()

    def wait(self, seconds: float) -> bool:
        """Whether it ended within that time."""
        try:
            self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def ending(self) -> Ending | None:
        """How it ended; None while it runs."""
        code = self.process.poll()
        if code is None:
            return None
        return Ending(
            returncode=code,
            at=datetime.now(UTC),
            last_line=_last_line(self.folder / ERRORS, after=self.begins_at),
            checkpoints=checkpoints(self.folder / "work"),
            round=(
                _number(self.folder / "work" / steps.ROUND_FIRST),
                _number(self.folder / "work" / steps.ROUND_TRIALS),
            ),
        )


def checkpoints(work: Path) -> tuple[str, ...]:
    """The complete checkpoints below the scratch folder."""
    complete = work.rglob(f"{bucket.CHECKPOINTS}/*/{bucket.MANIFEST}")
    return tuple(sorted(str(path.parent.relative_to(work)) for path in complete))


def _number(path: Path) -> int:
    """Of a file that `search` writes; 0 where it says nothing."""
    text = path.read_text().strip() if path.exists() else ""
    return int(text) if text.isdecimal() else 0


def _credentials(path: Path) -> dict[str, str]:
    try:
        pair = json.loads(path.read_text())
        return {"AWS_ACCESS_KEY_ID": pair["accessKey"], "AWS_SECRET_ACCESS_KEY": pair["secretKey"]}
    except (OSError, ValueError, KeyError) as error:
        text = f"{path}: {type(error).__name__}; must hold the tenant's accessKey and secretKey; `tenon up` writes it"
        raise CredentialsError(text) from error


def _last_line(errors: Path, *, after: int) -> str:
    with errors.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(after, end - MOST_MESSAGE_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def bounded(parent: int) -> None:
    """What a pod's limits do: no more memory than the machine has, no file beyond the scratch volume, no core dump."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = {resource.RLIMIT_DATA: memory, resource.RLIMIT_FSIZE: MOST_FILE_BYTES, resource.RLIMIT_CORE: 0}
    for limit, most in limits.items():
        _, hard = resource.getrlimit(limit)
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (allowed, allowed))
    end_with(parent)


def end_with(parent: int) -> None:
    """Ask Linux for SIGTERM when the controller dies, so that no step trains on unwatched."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before we asked
        os._exit(steps.Exit.KILLED)
