"""A workflow as the dispatcher and the watcher know it, wherever it runs."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from app.contract.directory import TenantEntry
from app.contract.wire import Wire
from app.jobs.causes import Cause


class AlreadyExists(Exception):  # noqa: N818 - Kubernetes' own name for it
    """A workflow of this name was made before; for a caller with deterministic names that is success."""


class WorkflowsUnavailable(Exception):  # noqa: N818 - the name is the fact
    """The place where workflows are kept cannot be read or written now."""


class WorkflowRefusedError(Exception):
    """A workflow cannot be made as it is asked for; `code` becomes the job's error code.

    is_final: nothing but another request helps. Else the place may yet come to allow it: rights and namespaces of a new
    tenant are synced in their own time.
    """

    def __init__(self, code: str, text: str, *, is_final: bool = True) -> None:
        super().__init__(text)
        self.code = code
        self.is_final = is_final


class Phase(StrEnum):
    """Argo's words, as far as they matter here."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"

    @property
    def is_final(self) -> bool:
        return self in {Phase.SUCCEEDED, Phase.FAILED}


class WorkflowStatus(Wire):
    """Where a workflow stands. `step` is the current or the last one; `exit_code` and `message` are a failure's.

    The message of one that is not final is what keeps it from going on. cause: where more is known than exit code and
    message tell. admitted_at: when Kueue, or the machine, had room for it.
    """

    name: str
    phase: Phase = Phase.PENDING
    step: str | None = None
    exit_code: int | None = None
    message: str | None = None
    cause: Cause | None = None
    admitted_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None


class Workflows(Protocol):
    """Where workflows are made and looked up.

    Every method raises WorkflowsUnavailable; `get` and `stop` WorkflowRefusedError where the place refuses this one.
    """

    @property
    def capacity(self) -> int:
        """How many workflows may be alive at once, over all tenants."""

    def create(self, name: str, *, tenant: TenantEntry, parameters: Mapping[str, str]) -> None:
        """Make a workflow; it is there for good when this returns. Raises AlreadyExists, WorkflowRefusedError."""

    def get(self, name: str) -> WorkflowStatus | None:
        """None: there is no such workflow."""

    def list(self) -> Sequence[WorkflowStatus]:
        """Every workflow there is, by age."""

    def stop(self, name: str) -> None:
        """Ask that the workflow ends, as failed; one that has ended, or never was, is left alone.

        Its steps are told to stop and save a checkpoint, so this serves a pause as well as a cancellation.
        """

    def admits(self, name: str, token: str) -> bool:
        """Whether this bearer token was given to the steps of that workflow and to no others."""
