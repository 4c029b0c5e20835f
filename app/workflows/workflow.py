"""A workflow as the dispatcher and the watcher know it, wherever it runs."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from app.contract.directory import TenantEntry
from app.contract.wire import Wire


class AlreadyExists(Exception):  # noqa: N818 - Kubernetes' own name for it
    """A workflow of this name was made before; for a caller with deterministic names that is success."""


class WorkflowsUnavailable(Exception):  # noqa: N818 - the name is the fact
    """The place where workflows are kept cannot be read or written now."""


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
    """Where a workflow stands. `step` is the current or the last one; `exit_code` and `message` are a failure's."""

    name: str
    phase: Phase = Phase.PENDING
    step: str | None = None
    exit_code: int | None = None
    message: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None


class Workflows(Protocol):
    """Where workflows are made and looked up. Every method raises WorkflowsUnavailable."""

    @property
    def capacity(self) -> int:
        """How many workflows may be alive at once, over all tenants."""

    def create(self, name: str, *, tenant: TenantEntry, parameters: Mapping[str, str]) -> None:
        """Make a workflow; it is there for good when this returns. Raises AlreadyExists."""

    def get(self, name: str) -> WorkflowStatus | None:
        """None: there is no such workflow."""

    def list(self) -> Sequence[WorkflowStatus]:
        """Every workflow there is, by age."""

    def stop(self, name: str) -> None:
        """Ask that the workflow ends, as failed; one that has ended, or never was, is left alone."""

    def admits(self, name: str, token: str) -> bool:
        """Whether this bearer token was given to the steps of that workflow and to no others."""
