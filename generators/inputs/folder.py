"""The whole input folder: platform.yaml, both locks, tenants/*.yaml and the model records, or every fault at once."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from app.contract.models import ModelName, ModelRecord
from generators import naming
from generators.charts import ChartLock
from generators.images import ImageLock
from generators.inputs.platform import Platform
from generators.inputs.reading import Document, InputErrors, parse, read_document
from generators.inputs.recipes import read_recipes
from generators.inputs.refusals import refuse_across, refuse_between
from generators.inputs.renames import refuse_moves, refuse_renames
from generators.inputs.sources import PlatformSource, TenantSource
from generators.inputs.strays import FOLDER, refuse_strays
from generators.inputs.tenant import Tenant

_MODEL_NAME: TypeAdapter[str] = TypeAdapter(ModelName)
_STAND_IN = "refused"  # id under which a wrongly named file is still checked


@dataclass(frozen=True)
class Inputs:
    """Everything that rendering reads."""

    platform: Platform
    tenants: tuple[Tenant, ...]


def read_inputs(root: Path) -> Inputs:
    """Read and check the inputs below `root`. Raises InputErrors."""
    source = PlatformSource(
        read_document(root / "platform.yaml", shown_as="platform.yaml"),
        read_document(root / "images.lock", shown_as="images.lock"),
        read_document(root / "charts.lock", shown_as="charts.lock"),
    )
    lock, charts = parse(source.lock, ImageLock), parse(source.charts, ChartLock)
    locked = {"images": lock.by_role() if lock else {}, "charts": charts.by_name() if charts else {}}
    platform = parse(source.document, Platform, **locked)
    documents = [source.document, source.lock, source.charts]
    strays = refuse_strays(root)
    tenants = _tenants(root, documents, is_listed=all(each.file != FOLDER for each in strays))
    documents += strays
    recipes = read_recipes(documents)
    refuse_between(tenants)
    if platform is not None:
        refuse_across(platform, source, tenants, recipes=recipes)
        refuse_renames(root, platform.cluster, tenants)
        refuse_moves(root, platform, source.document)
    if errors := [error for document in documents for error in document.errors]:
        raise InputErrors(errors)
    assert platform is not None  # noqa: S101 - a document without errors parsed
    return Inputs(platform, tuple(each.tenant for each in tenants))


def _tenants(root: Path, documents: list[Document], *, is_listed: bool) -> list[TenantSource]:
    found = []
    for path in _listed(root, "tenants", documents):
        document = read_document(path, shown_as=f"tenants/{path.name}")
        documents.append(document)
        reason = naming.refusal_of(path.stem)
        records = _records(root, path.stem, documents)
        models = {name: record for name, (record, _) in records.items()}
        tenant = parse(document, Tenant, id=_STAND_IN if reason else path.stem, models=models)
        if reason:
            document.refuse((), f"{path.stem!r}: {reason}")
        elif tenant:
            found.append(TenantSource(tenant, document, {name: each for name, (_, each) in records.items()}))
    if not found and is_listed and not any(document.errors for document in documents):
        documents[0].refuse((), "tenants/ holds no tenant; an empty folder would delete everything (`tenon new`)")
    return found


def _records(root: Path, tenant: str, documents: list[Document]) -> dict[str, tuple[ModelRecord, Document]]:
    records = {}
    for path in _listed(root, f"tenants/{tenant}/models", documents):
        document = read_document(path, shown_as=f"tenants/{tenant}/models/{path.name}")
        documents.append(document)
        record = parse(document, ModelRecord)
        if not is_model_name(path.stem):
            text = "a model's name is a lower-case DNS label of 1-40 characters; rename the file"
            document.refuse((), f"{path.stem!r}: {text}")
        elif record:
            records[path.stem] = (record, document)
    return records


def _listed(root: Path, folder: str, documents: list[Document]) -> list[Path]:
    """The `.yaml` files of a folder. One that may not be listed is a fault; `glob` would take it for an empty one."""
    try:
        return sorted(path for path in (root / folder).iterdir() if path.name.endswith(".yaml"))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        document = Document(folder)
        document.refuse((), f"cannot be listed ({error.strerror}); what is inside would be passed over")
        documents.append(document)
        return []


def is_model_name(name: str) -> bool:
    """Whether a model record may be called so (a DNS label, hence a safe file name too)."""
    try:
        _MODEL_NAME.validate_python(name)
    except ValidationError:
        return False
    return True
