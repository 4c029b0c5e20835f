"""The whole input folder: platform.yaml, tenants/*.yaml and the model records beside them, or every fault at once."""

from dataclasses import dataclass
from pathlib import Path

from app.contract.models import ModelRecord
from generators import naming
from generators.images import ImageLock
from generators.inputs.platform import Platform
from generators.inputs.reading import Document, InputErrors, parse, read_document
from generators.inputs.refusals import refuse_across
from generators.inputs.tenant import Tenant


@dataclass(frozen=True)
class Inputs:
    """Everything that rendering reads."""

    platform: Platform
    tenants: tuple[Tenant, ...]


def read_inputs(root: Path) -> Inputs:
    """Read and check the inputs below `root`. Raises InputErrors."""
    platform_document = read_document(root / "platform.yaml", shown_as="platform.yaml")
    lock_document = read_document(root / "images.lock", shown_as="images.lock")
    lock = parse(lock_document, ImageLock)
    platform = parse(platform_document, Platform, images=lock.by_role() if lock else {})
    documents: list[Document] = [platform_document, lock_document]
    tenants: dict[str, tuple[Tenant, Document]] = {}
    for path in sorted((root / "tenants").glob("*.yaml")):
        document = read_document(path, shown_as=f"tenants/{path.name}")
        documents.append(document)
        if reason := naming.refusal_of(path.stem):
            document.refuse((), f"{path.stem!r}: {reason}")
        models = _records(root, path.stem, documents)
        if tenant := parse(document, Tenant, id=path.stem, models=models):
            tenants[tenant.id] = (tenant, document)
    _refuse_orphans(root, documents)
    if not tenants and not any(document.errors for document in documents):
        platform_document.refuse((), "tenants/ holds no tenant; an empty folder would delete everything (`tenon new`)")
    if platform is not None:
        refuse_across(platform, list(tenants.values()))
    if errors := [error for document in documents for error in document.errors]:
        raise InputErrors(errors)
    assert platform is not None  # noqa: S101 - a document without errors parsed
    return Inputs(platform, tuple(tenant for tenant, _ in tenants.values()))


def _records(root: Path, tenant: str, documents: list[Document]) -> dict[str, ModelRecord]:
    records = {}
    for path in sorted((root / "tenants" / tenant / "models").glob("*.yaml")):
        document = read_document(path, shown_as=f"tenants/{tenant}/models/{path.name}")
        documents.append(document)
        if record := parse(document, ModelRecord):
            records[path.stem] = record
    return records


def _refuse_orphans(root: Path, documents: list[Document]) -> None:
    for folder in sorted((root / "tenants").glob("*/models")):
        tenant = folder.parent.name
        if not (root / "tenants" / f"{tenant}.yaml").exists():
            document = Document(f"tenants/{tenant}/models")
            document.refuse((), f"tenants/{tenant}.yaml is not there; remove the folder or restore the tenant")
            documents.append(document)
