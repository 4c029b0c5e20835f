"""A rename is a removal: the id names namespaces, bucket and queue, so all of the old id would be pruned."""

from collections.abc import Sequence
from pathlib import Path

from generators import naming
from generators.inputs.sources import TenantSource


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


def _with_a_file(root: Path) -> set[str]:
    """A file with faults is there all the same."""
    return {path.stem for path in (root / "tenants").glob("*.yaml")}
