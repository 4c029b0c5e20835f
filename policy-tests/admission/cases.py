"""The fixtures as requests.

A file has a `base` object, who asks (`as`), and the lists `good` and `bad`; `tree` names the tree of its tenants where
it is not the sample. A case says what it is and sets values of the base by JSON pointer; null takes a value out. A bad
one also has words of the rule that refuses it. With `update` the base is there already (made by `madeBy`) and the case
changes it: the object itself, or the subresource that `update` names; `made` sets values of that base.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from controlplane.api import Answer, Api
from controlplane.documents import Kind, document

FOLDER = Path(__file__).parent
OBJECT = "object"


@dataclass(frozen=True)
class Case:
    """One request. `refused` None: it is let through; `update` None: it creates."""

    policy: str
    tree: str
    says: str
    user: str
    maker: str
    base: dict[str, Any]
    changes: dict[str, Any]
    update: str | None
    refused: str | None

    def __str__(self) -> str:
        return f"{self.policy}: {self.says}"

    def ask(self, server_as: Callable[[str], Api]) -> Answer:
        """The server's answer to the case's user; nothing of it is kept but the base of an update."""
        api = server_as(self.user)
        if self.update is None:
            return api.create(document(changed(self.base, self.changes), str(self)), dry_run=True)
        there = document(self.base, str(self))
        path = f"{api.served()[there.kind].path(there.namespace)}/{there.name}"
        if not api.http.get(path).is_success:
            _make(server_as(self.maker), self.base, path)
        wanted = changed(api.http.get(path).raise_for_status().json(), self.changes)
        target = path if self.update == OBJECT else f"{path}/{self.update}"
        answer = api.http.put(target, params={"dryRun": "All"}, json=wanted)
        body = answer.json()
        return Answer(there, answer.status_code, "" if answer.is_success else str(body.get("message", body)), body)


def read_cases(file: Path) -> Iterator[Case]:
    """The cases of one policy's file, whose name is the policy's."""
    read = yaml.safe_load(file.read_text(encoding="utf-8"))
    for key in ("good", "bad"):
        for each in read[key]:
            yield Case(
                policy=file.stem,
                tree=read.get("tree", "sample"),
                says=each["says"],
                user=each.get("as", read["as"]),
                maker=read.get("madeBy", read["as"]),
                base=changed(read["base"], each.get("made", {})),
                changes=each.get("set", {}),
                update=each.get("update", read.get("update")),
                refused=each["refused"] if key == "bad" else None,
            )


def cases_of(tree: str) -> list[Case]:
    """The fixtures that speak of one tree's tenants."""
    return [case for file in sorted(FOLDER.glob("*.yaml")) for case in read_cases(file) if case.tree == tree]


def kinds_of(cases: list[Case]) -> set[Kind]:
    """Every kind that a fixture is of."""
    bodies = [changed(case.base, case.changes) if case.update is None else case.base for case in cases]
    return {(body["apiVersion"], body["kind"]) for body in bodies}


def changed(body: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A copy with the values at the pointers set; `~1` is a slash inside a key, `-` the end of a list."""
    made = copy.deepcopy(body)
    for pointer, value in changes.items():
        *way, last = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
        target: Any = made
        for part in way:
            target = target[int(part)] if isinstance(target, list) else target.setdefault(part, {})
        _set(target, last, value)
    return made


def _set(target: Any, last: str, value: Any) -> None:
    if isinstance(target, list):
        target[len(target) if last == "-" else int(last) :] = [value]
    elif value is None:
        target.pop(last, None)
    else:
        target[last] = value


def _make(api: Api, body: dict[str, Any], path: str) -> None:
    answer = api.create(document(body))
    if not answer.accepted:
        raise ValueError(f"the base of the fixtures is refused: {answer}")
    if "status" in body:
        kind = {"Content-Type": "application/merge-patch+json"}
        api.http.patch(f"{path}/status", json={"status": body["status"]}, headers=kind).raise_for_status()
