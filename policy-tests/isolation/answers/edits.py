"""Candidate edits of policy objects, by which a lock may open or close. Nothing here says that one does: flips.py asks.

An edit removes a rule, a peer, a port or a name, or adds one. To remove a default deny is no candidate: it opens more
than was asked about.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from isolation.answers.entries import Body, entry_for, peer_item, shown
from isolation.answers.locks import DNS_LOCK, SERVER_NAME, Asked, Lock
from isolation.answers.object_edits import Edit, appending, drop, dropping, value_at
from isolation.classes.pod_classes import PodClass
from isolation.manifests.node import dotted
from isolation.manifests.reading import DocumentPath
from isolation.manifests.tree import Document
from isolation.policies.labels import ACCOUNT
from isolation.policies.names import NamePattern
from isolation.policies.parsing import CILIUM_KINDS, Rule
from isolation.policies.ports import Port
from isolation.verdicts.world import PolicyWorld, selects


def closing(lock: Lock, world: PolicyWorld, name: str, *, on_every_port: bool) -> Iterator[Edit]:
    """Edits that may close an open lock: less in the rules that open it, or a deny beside them."""
    if any(_list_of(rule, lock) for rule in lock.by):
        yield from _without_name(lock, name)
    elif lock.asked is not None:
        asked = _narrowed(lock.asked, name)
        direction = asked.direction
        side = world.side(asked.subject.identity, direction)
        for rule in side.selecting(asked.peer):
            if not rule.is_deny and rule.covers(asked.port):
                yield from _less(rule, asked)
        entry = entry_for(asked, is_deny=True, on_every_port=on_every_port)
        section = f"{direction}Deny"
        made = [edit for document in _documents(side.rules) for edit in _with_entry(document, section, entry)]
        if isinstance(asked.subject, PodClass):
            made.append(_new_policy(asked.subject.namespace, {}, {section: [entry]}))
        yield from (replace(edit, is_deny=True) for edit in made)


def opening(lock: Lock, world: PolicyWorld, name: str) -> Iterator[Edit]:
    """Edits that may open a closed lock: one more name in a list, less in the rules that deny, more in the others."""
    if any(_list_of(rule, lock) for rule in lock.by):
        for rule in lock.by:
            where, item = _list_path(rule, lock), {"matchName": name} if lock.kind == DNS_LOCK else name
            if _list_of(rule, lock):
                yield Edit(rule.origin.document, where, f"add {name} to {dotted(where)}", appending(where, item))
    elif lock.asked is not None:
        yield from _opening_flow(lock.asked, _narrowed(lock.asked, name), world)


def _opening_flow(asked: Asked, wanted: Asked, world: PolicyWorld) -> Iterator[Edit]:
    """wanted: the same with one name of a shared address."""
    direction = asked.direction
    side = world.side(asked.subject.identity, direction)
    for rule in side.rules:
        is_selected, is_covered = selects(rule, asked.peer), rule.covers(asked.port)
        if rule.is_deny and is_selected and is_covered:
            yield from _less(rule, asked)
        elif not rule.is_deny and not rule.redirects and is_selected and not is_covered:
            yield from _with_port(rule, asked.port)
        elif not rule.is_deny and is_covered and not is_selected:
            yield from _with_peer(rule, wanted)
    entry = entry_for(wanted, is_deny=False)
    for document in _documents(side.rules):
        yield from _with_entry(document, direction, entry)
    if isinstance(asked.subject, PodClass):
        selector = {"matchLabels": {f"k8s:{ACCOUNT}": asked.subject.account}}
        yield _new_policy(asked.subject.namespace, selector, {direction: [entry]})


def _narrowed(asked: Asked, name: str) -> Asked:
    """Of the names of a shared address the one that is asked about."""
    if name not in asked.peer.names:
        return asked
    return replace(asked, peer=replace(asked.peer, name=name, names=frozenset({name})))


def entry_path(rule: Rule) -> DocumentPath:
    """Of the item of `egress`, `ingressDeny` and so on; a rule's own path may lead further to one of its ports."""
    path = rule.origin.path
    return path[: path.index("toPorts")] if "toPorts" in path else path


def _less(rule: Rule, asked: Asked) -> Iterator[Edit]:
    """The rule without its entry, without one port item, one port, or one peer."""
    document, path, entry_at = rule.origin.document, rule.origin.path, entry_path(rule)
    port = asked.port
    if document.kind not in CILIUM_KINDS or not isinstance(entry_at[-1], int):
        return
    yield Edit(document, entry_at, f"remove {dotted(entry_at)}", lambda body: drop(body, entry_at))
    if path != entry_at:
        ports = value_at(document.body, path).get("ports") or []
        for index, item in enumerate(ports):
            if len(ports) > 1 and str(item.get("port")) == str(port.number) and _is_of(item, port):
                at = (*path, "ports", index)
                yield Edit(document, at, f"remove {port} at {dotted(at)}", dropping(at))
    for index, term in enumerate(rule.peers or ()):
        if len(rule.peers or ()) > 1 and term.selects(asked.peer):
            for key in (key for key in value_at(document.body, entry_at) if key.startswith(("to", "from"))):
                items = value_at(document.body, entry_at)[key]
                if key != "toPorts" and isinstance(items, list) and len(items) == len(rule.peers or ()):
                    at = (*entry_at, key, index)
                    yield Edit(document, at, f"remove the peer {dotted(at)}", dropping(at))


def _without_name(lock: Lock, name: str) -> Iterator[Edit]:
    for rule in lock.by:
        for index, entry in enumerate(_list_of(rule, lock)):
            if entry.matches(name):
                at = (*_list_path(rule, lock), index)
                yield Edit(rule.origin.document, at, f"remove {entry} at {dotted(at)}", dropping(at))


def _list_of(rule: Rule, lock: Lock) -> tuple[NamePattern, ...]:
    """The names that the rule lists for this lock; none where it lists no names at all."""
    names = {DNS_LOCK: rule.dns, SERVER_NAME: rule.server_names}.get(lock.kind)
    return names or ()


def _list_path(rule: Rule, lock: Lock) -> DocumentPath:
    return (*rule.origin.path, "rules", "dns") if lock.kind == DNS_LOCK else (*rule.origin.path, "serverNames")


def _with_port(rule: Rule, port: Port) -> Iterator[Edit]:
    path = rule.origin.path
    if path != entry_path(rule) and not port.protocol.startswith("ICMP"):
        at = (*path, "ports")
        item = {"port": str(port.number), "protocol": port.protocol}
        yield Edit(rule.origin.document, at, f"add {port} to {dotted(at)}", appending(at, item))


def _with_peer(rule: Rule, asked: Asked) -> Iterator[Edit]:
    """One more peer of the kind that the rule lists already; with its server name where the rule lists those."""
    key, item = peer_item(asked.peer, asked.direction)
    at, document = (*entry_path(rule), key), rule.origin.document
    if document.kind not in CILIUM_KINDS or not value_at(document.body, at[:-1]).get(key):
        return
    if rule.redirects and key != "toFQDNs":
        return

    def change(body: Body) -> None:
        value_at(body, at).append(item)
        if rule.server_names is not None:
            value_at(body, (*rule.origin.path, "serverNames")).extend(sorted(asked.peer.names))

    yield Edit(document, at, f"add the peer {asked.peer.name} to {dotted(at)}", change)


def _with_entry(document: Document, section: str, entry: Body) -> Iterator[Edit]:
    """One more entry in a policy of one namespace that selects the subject."""
    spec = document.body.get("spec")
    if document.kind != "CiliumNetworkPolicy" or not isinstance(spec, dict):
        return

    def change(body: Body) -> None:
        body["spec"][section] = [*(body["spec"].get(section) or ()), entry]

    at = ("spec", section, len(spec.get(section) or ()))
    yield Edit(document, at, f"add {shown(entry)} as {dotted(at)}", change)


def _new_policy(namespace: str, selector: Body, rules: Body) -> Edit:
    """A policy of its own, where none can take the entry."""
    body = {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": "new", "namespace": namespace},
        "spec": {"endpointSelector": selector, **rules},
    }
    selected = ", ".join(selector.get("matchLabels", {}).values()) or "every pod"
    what = f"add a policy for {selected} in {namespace} with {shown(rules)}"
    return Edit(Document("(new)", body, {}), (), what, lambda _: None, is_new=True)


def _documents(rules: Iterable[Rule]) -> tuple[Document, ...]:
    return tuple(dict.fromkeys(rule.origin.document for rule in rules))


def _is_of(item: Body, port: Port) -> bool:
    return str(item.get("protocol", "ANY")).upper() in {"ANY", port.protocol}
