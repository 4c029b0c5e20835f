"""Workflows on this machine: files that the controller process (controller.py) works off."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from app.contract.directory import TenantEntry
from app.workflows.folder import LocalWorkflow, WorkflowsFolder
from app.workflows.progress import pipeline_of
from app.workflows.workflow import Phase, WorkflowStatus
from trainer.contract.steps import Step


class LocalWorkflows:
    """`Workflows` over a folder. pipeline: other steps than the job's, in tests."""

    def __init__(self, folder: WorkflowsFolder, *, slots: int, pipeline: Sequence[Step] | None = None) -> None:
        self.folder = folder
        self.capacity = slots
        self.pipeline = pipeline

    def create(self, name: str, *, tenant: TenantEntry, parameters: Mapping[str, str]) -> None:
        self.folder.add(LocalWorkflow.of(name, tenant, parameters=dict(parameters), at=datetime.now(UTC)))

    def get(self, name: str) -> WorkflowStatus | None:
        workflow = self.folder.workflow(name)
        return self._status(workflow) if workflow else None

    def stop(self, name: str) -> None:
        self.folder.ask_to_stop(name)

    def admits(self, name: str, token: str) -> bool:
        return self.folder.admits(name, token)

    def list(self) -> Sequence[WorkflowStatus]:
        found = [workflow for name in self.folder.names() if (workflow := self.folder.workflow(name))]
        found.sort(key=lambda workflow: (workflow.created_at, workflow.name))
        return [self._status(workflow) for workflow in found]

    def _status(self, workflow: LocalWorkflow) -> WorkflowStatus:
        progress = self.folder.progress(workflow.name)
        told = progress.model_dump(include={"phase", "exit_code", "message", "started_at", "finished_at"})
        begun = progress.phase is not Phase.PENDING
        step = (self.pipeline or pipeline_of(workflow.job))[progress.index].name if begun else None
        return WorkflowStatus(name=workflow.name, step=step, admitted_at=progress.started_at, **told)
