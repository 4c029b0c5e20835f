"""`/v1/uploads`: big datasets go straight to the object store, by a URL that admits exactly the bytes announced.

The shape is OpenAI's upload with `url`, `method` and `headers` added: PUT the bytes there, then complete the upload.
Parts, which would go through us, are not offered.
"""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeVar

import anyio.to_thread
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.api.body import json_body
from app.api.entrance import Entrance
from app.api.errors import FieldError, Problem, bad_fields, field_errors, not_found
from app.api.files import FILE_PREFIX, PURPOSE, file_object, safe_name
from app.api.shapes import UploadObject
from app.buckets import Buckets, ObjectMissing
from app.contract.directory import TenantEntry
from app.jobs.ids import Ids
from app.store.files import UPLOADING, Files, StoredFile
from trainer.contract.bucket import datasets

UPLOADS = "/v1/uploads"
LIFE = timedelta(hours=1)
MOST_BYTES = 5 << 30  # of one PUT, which is S3's own bound
_SWEPT = 10  # expired uploads that are cleared away with each new one
_PREFIX = "upload-"

Body = TypeVar("Body", bound=BaseModel)


class CreateUpload(BaseModel):
    """Body of `POST /v1/uploads`. `mime_type` is read by nobody: rows are told by their content."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    filename: str = Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")
    purpose: Literal["fine-tune"]
    bytes: int = Field(ge=1)
    mime_type: str = Field("application/jsonl", max_length=255)


class CompleteUpload(BaseModel):
    """Body of `POST /v1/uploads/{upload}/complete`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    part_ids: list[str] = Field(default_factory=list, max_length=0, description="no parts are offered")
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$", description="of the bytes; compared with what arrived")


class UploadRoutes:
    """The routes."""

    def __init__(self, *, entrance: Entrance, files: Files, buckets: Buckets, ids: Ids) -> None:
        self._entrance = entrance
        self._files = files
        self._buckets = buckets
        self._ids = ids

    def routes(self) -> list[Route]:
        return [
            Route(UPLOADS, self.create, methods=["POST"]),
            Route(f"{UPLOADS}/{{upload}}/complete", self.complete, methods=["POST"]),
            Route(f"{UPLOADS}/{{upload}}/cancel", self.cancel, methods=["POST"]),
        ]

    async def create(self, request: Request) -> Response:
        tenant = self._entrance.admit(request).tenant
        wanted = _parsed(CreateUpload, await json_body(request))
        most = min(tenant.limits.dataset_gib << 30, MOST_BYTES)
        if wanted.bytes > most:
            text = f"is more than {most}; split the rows, or put the object into your bucket yourself and name its URL"
            raise bad_fields([FieldError(("bytes",), "too_large", text)])
        made = await anyio.to_thread.run_sync(self._announce, tenant, wanted)
        return JSONResponse(made, headers={"Location": f"{UPLOADS}/{made['id']}"})

    async def complete(self, request: Request) -> Response:
        """Reads the object once, in pieces, for its sha256: what was announced is what a job will find."""
        tenant = self._entrance.admit(request).tenant
        wanted = _parsed(CompleteUpload, await json_body(request))
        return JSONResponse(await anyio.to_thread.run_sync(self._arrived, tenant, _file_id(request), wanted.sha256))

    async def cancel(self, request: Request) -> Response:
        tenant = self._entrance.admit(request).tenant
        file = await anyio.to_thread.run_sync(self._drop, tenant, _file_id(request))
        return JSONResponse(upload_object(file, status="cancelled"))

    def _announce(self, tenant: TenantEntry, wanted: CreateUpload) -> UploadObject:
        now, drawn = datetime.now(UTC), self._ids.draw()
        for late in self._files.expired(tenant.id, at=now, limit=_SWEPT):
            self._buckets.delete(tenant.bucket, late.key)
            self._files.delete(tenant.id, late.id)
        key = datasets(f"{FILE_PREFIX}{drawn}-{safe_name(wanted.filename)}")
        seconds = int(LIFE.total_seconds())
        url = self._buckets.upload_url(tenant.bucket, key, bytes_=wanted.bytes, seconds=seconds)
        file = StoredFile(
            id=f"{FILE_PREFIX}{drawn}",
            tenant=tenant.id,
            filename=wanted.filename,
            bytes=wanted.bytes,
            purpose=PURPOSE,
            key=key,
            sha256=None,
            created_at=now,
            status=UPLOADING,
            expires_at=now + LIFE,
        )
        self._files.add(file)
        return upload_object(file, status="pending", url=url)

    def _arrived(self, tenant: TenantEntry, file_id: str, sha256: str | None) -> UploadObject:
        file = self._announced(tenant, file_id)
        try:
            found = self._buckets.size(tenant.bucket, file.key)
        except ObjectMissing as error:
            text = "no bytes have arrived; PUT them to the upload's url, then complete it"
            raise Problem(409, "upload_incomplete", text, permanent=True) from error
        if found != file.bytes:
            text = f"{found} bytes have arrived and {file.bytes} were announced; cancel it and upload again"
            raise Problem(409, "upload_incomplete", text, permanent=True)
        digest = hashlib.sha256()
        for chunk in self._buckets.read(tenant.bucket, file.key):
            digest.update(chunk)
        if sha256 not in {None, digest.hexdigest()}:
            text = "is not of the bytes that arrived; cancel the upload and send them again"
            raise bad_fields([FieldError(("sha256",), "checksum_mismatch", text)])
        if not self._files.complete(tenant.id, file.id, sha256=digest.hexdigest()):
            raise not_found("upload")
        kept = self._files.get(tenant.id, file.id)
        return upload_object(kept or file, status="completed")

    def _drop(self, tenant: TenantEntry, file_id: str) -> StoredFile:
        file = self._announced(tenant, file_id)
        self._buckets.delete(tenant.bucket, file.key)
        self._files.delete(tenant.id, file.id)
        return file

    def _announced(self, tenant: TenantEntry, file_id: str) -> StoredFile:
        file = self._files.get(tenant.id, file_id, status=UPLOADING)
        if file is None or (file.expires_at or file.created_at) < datetime.now(UTC):
            raise not_found("upload")
        return file


def upload_object(
    file: StoredFile, *, status: Literal["pending", "completed", "cancelled"], url: str | None = None
) -> UploadObject:
    created = int(file.created_at.timestamp())
    return {
        "id": _PREFIX + file.id.removeprefix(FILE_PREFIX),
        "object": "upload",
        "bytes": file.bytes,
        "created_at": created,
        "expires_at": created + int(LIFE.total_seconds()),
        "filename": file.filename,
        "purpose": "fine-tune",
        "status": status,
        "file": file_object(file) if status == "completed" else None,
        "method": "PUT",
        "url": url,
        "headers": {"Content-Length": str(file.bytes)} if url else {},
    }


def _file_id(request: Request) -> str:
    upload: str = request.path_params["upload"]
    if not upload.startswith(_PREFIX):
        raise not_found("upload")
    return FILE_PREFIX + upload.removeprefix(_PREFIX)


def _parsed(model: type[Body], body: bytes) -> Body:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise bad_fields(field_errors(error)) from error
