"""Local workflows on the disk: `<home>/workflows/<name>/`, written so that a kill at any moment loses nothing."""

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from app.contract.directory import TenantEntry
from app.contract.internal import JOB_PARAMETER
from app.contract.job import TenantId
from app.contract.wire import Wire
from app.workflows.progress import Progress
from app.workflows.workflow import AlreadyExists, WorkflowsUnavailable
from trainer.contract.job import TrainingJob

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class LocalWorkflow(Wire):
    """workflow.json: what the dispatcher asked for; never changed."""

    name: str
    tenant: TenantId
    bucket: str
    parameters: dict[str, str]
    created_at: datetime

    @property
    def job(self) -> TrainingJob:
        """Raises ValueError where the parameter is no job."""
        return TrainingJob.from_parameter(self.parameters[JOB_PARAMETER])

    @classmethod
    def of(cls, name: str, tenant: TenantEntry, *, parameters: dict[str, str], at: datetime) -> "LocalWorkflow":
        return cls(name=name, tenant=tenant.id, bucket=tenant.bucket, parameters=parameters, created_at=at)


class WorkflowsFolder:
    """All local workflows below one home. Every method raises WorkflowsUnavailable when the disk does not serve."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / "workflows"

    def add(self, workflow: LocalWorkflow) -> None:
        """Exclusive, and all or nothing: the name is taken by one link. Raises AlreadyExists."""
        with _served(self.folder):
            place = self._place(workflow.name)
            place.mkdir(parents=True, exist_ok=True, mode=0o700)
            draft = place / f"draft.{secrets.token_hex(8)}"
            try:
                _write(draft, workflow.model_dump_json(by_alias=True).encode())
                os.link(draft, place / "workflow.json")
            except FileExistsError as error:
                raise AlreadyExists(f"workflow {workflow.name}: was made before") from error
            finally:
                draft.unlink(missing_ok=True)
            for folder in (place, self.folder, self.home):
                _sync(folder)

    def names(self) -> list[str]:
        """Every folder's name; a folder may still lack its workflow."""
        with _served(self.folder):
            return [entry.name for entry in os.scandir(self.folder)] if self.folder.exists() else []

    def workflow(self, name: str) -> LocalWorkflow | None:
        with _served(self.folder):
            content = _read(self._place(name) / "workflow.json")
            return LocalWorkflow.model_validate_json(content) if content is not None else None

    def progress(self, name: str) -> Progress:
        with _served(self.folder):
            content = _read(self._place(name) / "status.json")
            return Progress.model_validate_json(content) if content is not None else Progress()

    def keep(self, name: str, progress: Progress) -> None:
        """Replace the progress atomically."""
        with _served(self.folder):
            _replace(self._place(name) / "status.json", progress.model_dump_json(by_alias=True).encode())

    def ask_to_stop(self, name: str) -> None:
        with _served(self.folder), suppress(FileNotFoundError):
            (self._place(name) / "stop").touch()

    def is_to_stop(self, name: str) -> bool:
        return (self._place(name) / "stop").exists()

    def attempt_folder(self, workflow: LocalWorkflow) -> Path:
        """The tenant's own folder of this attempt, open to nobody else."""
        with _served(self.home):
            tenants = self.home / "tenants"
            place = tenants / workflow.tenant / workflow.name
            for folder in (tenants, place.parent, place):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            return place

    def token_file(self, workflow: LocalWorkflow) -> Path:
        """The bearer token of the attempt's steps, drawn once; only its digest is outside the attempt's folder."""
        path = self.attempt_folder(workflow) / "token"
        with _served(path):
            if not path.exists():
                _replace(path, secrets.token_urlsafe(32).encode())
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            _replace(self._place(workflow.name) / "token.sha256", digest.encode())
        return path

    def admits(self, name: str, token: str) -> bool:
        if not _NAME.fullmatch(name):
            return False
        with _served(self.folder):
            known = _read(self._place(name) / "token.sha256") or b""
        return hmac.compare_digest(known, hashlib.sha256(token.encode()).hexdigest().encode())

    def _place(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise ValueError(f"workflow {name!r}: no DNS label; names come from workflow_name()")
        return self.folder / name


@contextmanager
def _served(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WorkflowsUnavailable(f"{path}: {error}; free space on the disk or make it writable") from error


def _read(path: Path) -> bytes | None:
    """None: there is no such file. A disk that is away is an outage and no missing file."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        path.parents[2].stat()  # the home itself
        return None


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _replace(path: Path, content: bytes) -> None:
    draft = path.with_name(f"{path.name}.draft")
    _write(draft, content)
    draft.replace(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    """A new name is durable once its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
