"""A rename is a removal: the id names namespaces, bucket and queue, so all of the old id would be pruned.

The same holds of what platform.yaml names: another cluster is a tree of its own, another bucket an empty one.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import yaml

from app.contract.directory import DIRECTORY_KEY
from generators import naming
from generators.inputs.platform import Platform
from generators.inputs.reading import Document
from generators.inputs.sources import TenantSource

_DIRECTORY = f"foundation/{naming.SYSTEM_NAMESPACE}/core_configmap_directory-{{}}.yaml"
_STORE = f"foundation/{naming.STORAGE_NAMESPACE}"  # of a tenant whose bucket is in the cluster


def refuse_renames(root: Path, cluster: str, tenants: Sequence[TenantSource]) -> None:
    """Refuse ids that are new while others are gone, as rendered/ on disk has them."""
    folder = root / naming.rendered_folder(cluster) / "tenants"
    rendered = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    gone = sorted(rendered - {each.tenant.id for each in tenants} - _with_a_file(root))
    if not gone:
        return
    for each in tenants:
        if each.tenant.id not in rendered:
            old = ", ".join(f"tenants/{tenant}.yaml" for tenant in gone)
            text = (
                f"{each.tenant.id!r} is new and {old} is gone, which would delete namespaces, bucket and queue of"
                f" {', '.join(gone)}; keep the old file, move jobs and bucket, and remove it in a change of its own"
                " (or render the removal first, if this is no rename)"
            )
            each.document.refuse((), text)


def refuse_moves(root: Path, platform: Platform, document: Document) -> None:
    """Refuse another cluster, and buckets elsewhere, as rendered/ on disk has them."""
    folder = root / naming.RENDERED
    others = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if gone := [name for name in others if name != platform.cluster]:
        old = ", ".join(f"{naming.RENDERED}/{name}" for name in gone)
        text = f"{platform.cluster!r} would delete everything in {old}, and the cluster prunes what is deleted"
        remedy = f"if nothing runs there any more delete {old} by hand in this change, else name {gone[0]} again"
        document.refuse(("cluster",), f"{text}; {remedy}")
    tenants = root / naming.rendered_folder(platform.cluster) / "tenants"
    for tenant in sorted(tenants.iterdir()) if tenants.is_dir() else []:
        if found := _bucket(tenant):
            _refuse_other_bucket(tenant, found, platform=platform, document=document)
            return  # one tenant shows it: prefix and mode are everyone's


def _refuse_other_bucket(tenant: Path, found: str, *, platform: Platform, document: Document) -> None:
    storage, old_mode = platform.storage, "inCluster" if (tenant / _STORE).is_dir() else "s3"
    remedy = (
        f"copy every tenant's bucket, then delete {naming.rendered_folder(platform.cluster)}/tenants by hand in the"
        " change that names the new ones"
    )
    if found != (wanted := naming.bucket(storage.bucket_prefix, tenant.name)):
        text = f"{storage.bucket_prefix!r} makes {wanted} of {tenant.name}'s bucket {found}, and the new one is empty"
        document.refuse(("storage", "bucketPrefix"), f"{text}; {remedy}")
    if storage.mode != old_mode:
        text = f"{storage.mode!r} puts buckets elsewhere than they are ({old_mode}), and the new ones are empty"
        document.refuse(("storage", "mode"), f"{text}; {remedy}")


def _bucket(tenant: Path) -> str | None:
    """The bucket that the services are told of; None where nothing whole is rendered."""
    try:
        text = (tenant / _DIRECTORY.format(tenant.name)).read_text(encoding="utf-8")
        return str(json.loads(yaml.safe_load(text)["data"][DIRECTORY_KEY])["bucket"])
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return None


def _with_a_file(root: Path) -> set[str]:
    """A file with faults is there all the same."""
    return {path.stem for path in (root / "tenants").glob("*.yaml")}
