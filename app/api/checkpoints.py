"""Checkpoints of a job in OpenAI's shape, newest first. Their bytes stay in the bucket; a stopped job resumes there."""

from functools import partial

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.api.entrance import Entrance
from app.api.errors import not_found
from app.api.listing import cursor_of, page, page_of
from app.api.shapes import CheckpointObject
from app.store.checkpoints import Checkpoint, Checkpoints
from app.store.jobs import Jobs

_THEIRS = {"loss": "train_loss", "evalLoss": "valid_loss"}


class CheckpointRoutes:
    """The route."""

    def __init__(self, *, entrance: Entrance, jobs: Jobs, checkpoints: Checkpoints) -> None:
        self._entrance = entrance
        self._jobs = jobs
        self._checkpoints = checkpoints

    def routes(self) -> list[Route]:
        return [Route("/v1/fine_tuning/jobs/{job}/checkpoints", self.list, methods=["GET"])]

    async def list(self, request: Request) -> Response:
        tenant, wanted = self._entrance.admit(request).tenant.id, page_of(request)
        after = cursor_of(wanted.after, "ftckpt")
        job = await anyio.to_thread.run_sync(self._jobs.get, tenant, request.path_params["job"])
        if job is None:
            raise not_found("job")
        read = partial(self._checkpoints.list, tenant, job.id, after=after, limit=wanted.limit + 1)
        found, version = await anyio.to_thread.run_sync(read), job.envelope.training.version
        return page([checkpoint_object(each, version) for each in found], limit=wanted.limit)


def checkpoint_object(checkpoint: Checkpoint, version: str) -> CheckpointObject:
    """`version`: of the model that the job makes."""
    figures = {_THEIRS.get(name, name): float(figure) for name, figure in checkpoint.metrics.items()}
    return {
        "id": f"ftckpt-{checkpoint.id}",
        "object": "fine_tuning.job.checkpoint",
        "created_at": int(checkpoint.created_at.timestamp()),
        "fine_tuned_model_checkpoint": f"{version}:ckpt-step-{checkpoint.step}",
        "fine_tuning_job_id": checkpoint.job,
        "step_number": checkpoint.step,
        "metrics": {"step": float(checkpoint.step), **figures},
        "attempt": checkpoint.attempt,
    }
