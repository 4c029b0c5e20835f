"""Rights that a change gives and takes: what each subject may do at the API server, by RBAC alone."""

from collections.abc import Iterator, Mapping
from typing import Any

from generators.changes.objects import Body, Change, Files, Section, body_of, owner_of

_FILE = "/rbac.authorization.k8s.io_"
Right = tuple[str, str, str, str]  # owner, subject, verb, of what and where
Roles = Mapping[tuple[str, str, str], Body]  # kind, namespace, name


def access_changes(changes: tuple[Change, ...], base: Files, head: Files) -> Section:
    """Rights gained and lost, one row for each subject, place and kind of resource."""
    owners = {change.owner for change in changes if _FILE in change.path}
    before, after = rights(base, owners), rights(head, owners)
    gained, lost = after - before, before - after
    verbs: dict[tuple[str, str, str, str], list[str]] = {}
    for change, found in (("gained", gained), ("lost", lost)):
        for owner, subject, verb, what in sorted(found):
            verbs.setdefault((owner, change, subject, what), []).append(verb)
    rows = tuple((*row[:3], f"{', '.join(found)} {row[3]}") for row, found in sorted(verbs.items()))
    title = f"Rights: {len(gained)} gained, {len(lost)} lost"
    return Section("rbac", title, ("tenant", "change", "subject", "right"), rows)


def rights(files: Files, owners: set[str]) -> set[Right]:
    """Every right that the bindings of these owners give; a role of the platform may be bound by any of them."""
    everyone = any(owner.endswith("/platform") for owner in owners)
    bodies = {
        path: body_of(path, content)
        for path, content in files.items()
        if _FILE in path and (everyone or owner_of(path) in owners or owner_of(path).endswith("/platform"))
    }
    roles = {_identity(body): body for body in bodies.values() if body["kind"] in {"Role", "ClusterRole"}}
    return {
        (owner_of(path), subject, verb, what)
        for path, body in bodies.items()
        if body["kind"] in {"RoleBinding", "ClusterRoleBinding"} and (everyone or owner_of(path) in owners)
        for subject in _subjects(body)
        for verb, what in _of_role(body, roles)
    }


def _identity(body: Body) -> tuple[str, str, str]:
    return body["kind"], body["metadata"].get("namespace", ""), body["metadata"]["name"]


def _subjects(binding: Body) -> Iterator[str]:
    for subject in binding.get("subjects") or ():
        place = f"{subject['namespace']}/" if subject.get("namespace") else ""
        yield f"{subject['kind']} {place}{subject['name']}"


def _of_role(binding: Body, roles: Roles) -> Iterator[tuple[str, str]]:
    """The binding's own namespace bounds what a role gives, whatever kind of role it is."""
    named, namespace = binding["roleRef"], binding["metadata"].get("namespace", "")
    where = f"in {namespace}" if namespace else "everywhere"
    role = roles.get((named["kind"], "" if named["kind"] == "ClusterRole" else namespace, named["name"]))
    if role is None:
        yield "all", f"of {named['kind']} {named['name']} {where} (rendered elsewhere)"
        return
    for rule in role.get("rules") or ():
        yield from ((verb, f"{target} {where}") for verb in rule["verbs"] for target in _targets(rule))


def _targets(rule: dict[str, Any]) -> Iterator[str]:
    names = f" named {', '.join(sorted(rule['resourceNames']))}" if rule.get("resourceNames") else ""
    for resource in rule.get("resources") or ():
        yield from (f"{resource}{f'.{group}' if group else ''}{names}" for group in rule.get("apiGroups") or ("",))
    yield from rule.get("nonResourceURLs") or ()
