"""A tenant's files as read: the models together with the documents that faults are reported in."""

from collections.abc import Mapping
from dataclasses import dataclass

from generators.inputs.reading import Document
from generators.inputs.tenant import Tenant


@dataclass(frozen=True)
class TenantSource:
    """One tenant, its file, and the files of its model records by name."""

    tenant: Tenant
    document: Document
    records: Mapping[str, Document]

    @property
    def documents(self) -> tuple[Document, ...]:
        """The tenant file and its model records."""
        return (self.document, *self.records.values())


@dataclass(frozen=True)
class PlatformSource:
    """platform.yaml, images.lock and charts.lock."""

    document: Document
    lock: Document
    charts: Document
