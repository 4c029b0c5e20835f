"""What a change takes away: pruned at once, kept until somebody confirms, or left outside for its owner to export."""

import json
from collections import Counter
from typing import Any

from generators.changes.gpus import directory_entry
from generators.changes.objects import Change, Files, Section, owner_of, shown

SYNC_OPTIONS = "argocd.argoproj.io/sync-options"
_KEEPING = ("Prune=confirm", "Prune=false")


def removal_changes(changes: tuple[Change, ...], base: Files, head: Files) -> Section:
    """Removed objects: counted by kind where they are pruned, one by one where somebody is asked first."""
    gone = removed_tenants(base, head)
    rows: list[tuple[str, str, str]] = []
    for owner in sorted({change.owner for change in changes if change.after is None}):
        removed = [change for change in changes if change.after is None and change.owner == owner]
        kept = [change for change in removed if _is_kept(change)]
        pruned = Counter(str(change.body["kind"]) for change in removed if not _is_kept(change))
        if owner in gone:
            rows.append((owner, "tenant", "all of it is removed"))
            rows += [(owner, "export first", what) for what in _to_export(owner, base)]
            rows += [(owner, "renamed?", what) for what in _successors(owner, base, head)]
        rows += [(owner, "kept until confirmed", shown(change.body)) for change in kept]
        rows += [(owner, "pruned", f"{number} {kind}") for kind, number in sorted(pruned.items())]
    total = sum(change.after is None for change in changes)
    title = f"Removals: {len(gone)} tenants, {total} objects"
    return Section("removals", title, ("tenant", "fate", "what"), tuple(rows))


def removed_tenants(base: Files, head: Files) -> set[str]:
    """Tenants that have files in the one tree and none in the other."""
    return {owner for owner in _owners(base) - _owners(head) if not owner.endswith("/platform")}


def removed_places(changes: tuple[Change, ...], base: Files, head: Files) -> tuple[str, ...]:
    """What a careless change must not delete many of: tenants, and namespaces of those that stay."""
    gone = removed_tenants(base, head)
    namespaces = {
        f"{change.owner}: {shown(change.body)}"
        for change in changes
        if change.after is None and change.body["kind"] == "Namespace" and change.owner not in gone
    }
    return (*sorted(gone), *sorted(namespaces))


def _owners(files: Files) -> set[str]:
    return {owner_of(path) for path in files}


def _is_kept(change: Change) -> bool:
    annotations = change.body["metadata"].get("annotations") or {}
    return any(option in annotations.get(SYNC_OPTIONS, "") for option in _KEEPING)


def _to_export(owner: str, base: Files) -> list[str]:
    """Argo CD deletes no objects of a bucket; they stay for nobody once the tenant is gone."""
    entry = _entry(owner, base)
    models = ", ".join(sorted(entry.get("models", {})))
    return [f"bucket {entry['bucket']}{f' (models {models})' if models else ''}"] if "bucket" in entry else []


def _successors(owner: str, base: Files, head: Files) -> list[str]:
    """New tenants with a caller of the one that goes: a caller has one tenant, so this is the same one renamed."""
    callers = _callers(owner, base)
    new = sorted(each for each in _owners(head) - _owners(base) if callers & _callers(each, head))
    return [
        f"{each} has its callers; a rename deletes the old and starts anew, so move jobs and bucket first"
        for each in new
    ]


def _callers(owner: str, files: Files) -> set[str]:
    return {json.dumps(caller, sort_keys=True) for caller in _entry(owner, files).get("credentials", ())}


def _entry(owner: str, files: Files) -> dict[str, Any]:
    cluster, tenant = owner.split("/", 1)
    return directory_entry(f"{cluster}/tenants/{tenant}", tenant, files)
