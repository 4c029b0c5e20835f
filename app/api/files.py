"""`/v1/files`: uploads into the tenant's own bucket. The bucket comes from the directory, never from the request."""

import hashlib
import re
from datetime import UTC, datetime
from functools import partial

import anyio.to_thread
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from app.api.body import capped, expect_type, too_large
from app.api.entrance import Entrance
from app.api.errors import FieldError, Problem, bad_fields, not_found
from app.api.job_object import RESULT
from app.api.listing import page, page_of
from app.api.shapes import DeletedFile, FileObject
from app.buckets import Buckets
from app.contract.directory import TenantEntry
from app.jobs.ids import Ids
from app.store.files import Files, StoredFile
from app.store.jobs import Job, Jobs
from trainer.contract.bucket import METRICS, attempt, datasets

REQUEST_BYTES = 512 << 20  # of an upload through the API; bigger datasets are put into the bucket directly
FILES = "/v1/files"
PURPOSE = "fine-tune"
RESULTS = "fine-tune-results"
FILE_PREFIX = "file-"
MOST_LISTED = 10_000
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_NAME_LENGTH = 80
_MOST_FILENAME = 255


class FileRoutes:
    """The routes. A file is listed once its bytes are in the bucket."""

    def __init__(self, *, entrance: Entrance, files: Files, jobs: Jobs, buckets: Buckets, ids: Ids) -> None:
        self._entrance = entrance
        self._files = files
        self._jobs = jobs
        self._buckets = buckets
        self._ids = ids

    def routes(self) -> list[Route]:
        return [
            Route(FILES, self.create, methods=["POST"]),
            Route(FILES, self.list, methods=["GET"]),
            Route(f"{FILES}/{{file}}", self.retrieve, methods=["GET"]),
            Route(f"{FILES}/{{file}}", self.delete, methods=["DELETE"]),
            Route(f"{FILES}/{{file}}/content", self.content, methods=["GET"]),
        ]

    async def create(self, request: Request) -> Response:
        tenant = self._entrance.admit(request).tenant
        expect_type(request, "multipart/form-data")
        most = min(tenant.limits.dataset_gib << 30, REQUEST_BYTES)
        # the form's own lines may take a little on top of the file
        async with capped(request, most + (64 << 10)).form(max_files=1, max_fields=4) as form:
            upload = _upload(form)
            if (upload.size or 0) > most:
                raise too_large(most)
            stored = await anyio.to_thread.run_sync(self._keep, tenant, upload)
        return JSONResponse(file_object(stored), headers={"Location": f"{FILES}/{stored.id}"})

    async def retrieve(self, request: Request) -> Response:
        return JSONResponse(file_object(await self._own(request)))

    async def content(self, request: Request) -> Response:
        tenant = self._entrance.admit(request).tenant
        stored = await self._own(request)
        chunks = await anyio.to_thread.run_sync(self._buckets.read, tenant.bucket, stored.key)
        headers = {"Content-Length": str(stored.bytes), "Content-Disposition": "attachment"}
        return StreamingResponse(chunks, headers=headers, media_type="application/octet-stream")

    async def delete(self, request: Request) -> Response:
        """A job that waits for the file will fail and say so; those that have read it go on."""
        tenant, stored = self._entrance.admit(request).tenant, await self._own(request)
        if stored.purpose == RESULTS:
            raise Problem(403, "result_file", "figures of a job are kept as long as its job; nothing deletes them")

        def remove() -> None:
            self._buckets.delete(tenant.bucket, stored.key)
            self._files.delete(tenant.id, stored.id)

        await anyio.to_thread.run_sync(remove)
        deleted: DeletedFile = {"id": stored.id, "object": "file", "deleted": True}
        return JSONResponse(deleted)

    async def list(self, request: Request) -> Response:
        tenant = self._entrance.admit(request).tenant
        wanted, purpose = page_of(request, most=MOST_LISTED), request.query_params.get("purpose")
        read = partial(self._files.list, tenant.id, after=wanted.after, limit=wanted.limit + 1, purpose=purpose)
        return page([file_object(file) for file in await anyio.to_thread.run_sync(read)], limit=wanted.limit)

    async def _own(self, request: Request) -> StoredFile:
        return await anyio.to_thread.run_sync(
            self._found, self._entrance.admit(request).tenant, request.path_params["file"]
        )

    def _found(self, tenant: TenantEntry, file: str) -> StoredFile:
        if stored := self._files.get(tenant.id, file):
            return stored
        if file.startswith(RESULT) and (job := self._jobs.get(tenant.id, file.removeprefix(RESULT))):
            return self._result(tenant, job)
        raise not_found("file")

    def _result(self, tenant: TenantEntry, job: Job) -> StoredFile:
        """A job's figures, step by step, where its last attempt left them. Raises ObjectMissing."""
        key = f"{attempt(job.id, job.attempt)}/{METRICS}"
        return StoredFile(
            id=f"{RESULT}{job.id}",
            tenant=tenant.id,
            filename=METRICS,
            bytes=self._buckets.size(tenant.bucket, key),
            purpose=RESULTS,
            key=key,
            sha256=None,
            created_at=job.finished_at or job.created_at,
        )

    def _keep(self, tenant: TenantEntry, upload: UploadFile) -> StoredFile:
        """Bytes first, row last: a fault between the two leaves an unlisted object, never a row without bytes."""
        file = FILE_PREFIX + self._ids.draw()
        key = datasets(f"{file}-{safe_name(upload.filename or '')}")
        upload.file.seek(0)
        sha256 = hashlib.file_digest(upload.file, "sha256").hexdigest()  # type: ignore[arg-type]
        upload.file.seek(0)
        self._buckets.put(tenant.bucket, key, upload.file)
        stored = StoredFile(
            id=file,
            tenant=tenant.id,
            filename=upload.filename or "",
            bytes=upload.size or 0,
            purpose=PURPOSE,
            key=key,
            sha256=sha256,
            created_at=datetime.now(UTC),
        )
        self._files.add(stored)
        return stored


def file_object(file: StoredFile) -> FileObject:
    """A file as OpenAI's client reads it; `sha256` is ours."""
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.bytes,
        "created_at": int(file.created_at.timestamp()),
        "filename": file.filename,
        "purpose": "fine-tune-results" if file.purpose == RESULTS else "fine-tune",
        "status": "processed",
        "expires_at": None,
        "status_details": None,
        "sha256": file.sha256,
    }


def safe_name(filename: str) -> str:
    """The end of a file's name that is fit for an object key."""
    return _UNSAFE.sub("-", filename)[-_NAME_LENGTH:].strip(".-") or "data"


def _is_fit(filename: str) -> bool:
    return 1 <= len(filename) <= _MOST_FILENAME and filename.isprintable()


def _upload(form: FormData) -> UploadFile:
    """Raises Problem 400 with every field that is wrong."""
    upload, errors = form.get("file"), []
    if form.get("purpose") != PURPOSE:
        errors.append(FieldError(("purpose",), "invalid", f"must be {PURPOSE}"))
    if not isinstance(upload, UploadFile):
        errors.append(FieldError(("file",), "missing", "is missing; send the dataset as the part `file`"))
    elif not upload.size:
        errors.append(FieldError(("file",), "file_empty", "has no bytes; send JSON Lines with at least one row"))
    elif not _is_fit(upload.filename or ""):
        errors.append(FieldError(("file",), "filename_invalid", "its name must be 1-255 printable characters"))
    unknown = sorted(set(form) - {"file", "purpose"})
    errors += [FieldError((name[:_NAME_LENGTH],), "unknown_field", "is no field here; remove it") for name in unknown]
    if errors or not isinstance(upload, UploadFile):
        raise bad_fields(errors)
    return upload
