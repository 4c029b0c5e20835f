"""`GET /v1/fine_tuning/jobs/{job}/preview`: the first rows as the training sees them, and what the loss counts of them.

The step `prepare` writes them, in the tenant's own process; here they are read from the tenant's bucket, bounded and
checked, because whoever may write there could have put anything in their place.
"""

import anyio.to_thread
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.api.entrance import Entrance
from app.api.errors import Problem, not_found
from app.api.shapes import PreviewObject, PreviewRow
from app.buckets import Buckets, ObjectMissing
from app.store.jobs import Job, Jobs
from trainer.contract.bucket import PREVIEW, attempt

MOST_BYTES = 4 << 20
_LOOKED_AT = 3  # attempts, the newest first: a resumed job need not prepare again


class _Document(BaseModel):
    rows: list[PreviewRow]


class Previews:
    """The route."""

    def __init__(self, *, entrance: Entrance, jobs: Jobs, buckets: Buckets) -> None:
        self._entrance = entrance
        self._jobs = jobs
        self._buckets = buckets

    def routes(self) -> list[Route]:
        return [Route("/v1/fine_tuning/jobs/{job}/preview", self.answer, methods=["GET"])]

    async def answer(self, request: Request) -> Response:
        tenant, job = self._entrance.admit(request).tenant, request.path_params["job"]

        def read() -> PreviewObject:
            found = self._jobs.get(tenant.id, job)
            if found is None:
                raise not_found("job")
            return {"object": "fine_tuning.job.preview", "job": found.id, "data": self._rows(tenant.bucket, found)}

        return JSONResponse(await anyio.to_thread.run_sync(read))

    def _rows(self, bucket: str, job: Job) -> list[PreviewRow]:
        for number in range(job.attempt, max(0, job.attempt - _LOOKED_AT), -1):
            key = f"{attempt(job.id, number)}/{PREVIEW}"
            try:
                size = self._buckets.size(bucket, key)
                text = b"".join(self._buckets.read(bucket, key)) if size <= MOST_BYTES else b""
            except ObjectMissing:
                continue
            try:
                return _Document.model_validate_json(text).rows
            except ValidationError as error:
                told = f"{key} in your bucket is no preview of at most {MOST_BYTES} bytes; submit the job again"
                raise Problem(404, "preview_unreadable", told) from error
        raise Problem(404, "preview_not_ready", "the job's step prepare has not ended; ask again once it has")
