"""The fixed set of questions by which Cilium's engine tells whether a mutant changes anything.

Every class of pods, and one adversary of an unknown account per namespace, x every class, entity, address and name of
the tree x every port that a rule names and one that none names, both directions; and every name to every resolver. A
policy decides for the pods that it selects alone, so of a mutant only those are asked that it selects before or after;
test_oracle_scores_mutants.py asks everybody, for a sample.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any

from controlplane.oracle import Oracle
from differential.worlds import asked_of
from isolation.classes.cluster import METADATA, Cluster
from isolation.classes.edges import DNS
from isolation.classes.pod_classes import CLUSTER, UNKNOWN
from isolation.manifests.refusals import Refused
from isolation.manifests.tree import Document
from isolation.network.outside import PRIVATE
from isolation.policies.entities import Fqdn
from isolation.policies.labels import Labels, PodLabels
from isolation.policies.parsing import EGRESS, INGRESS, POLICY_KINDS, parse_policy
from isolation.policies.ports import Port

from mutation.local_operators import STRAY_PORT
from mutation.mutant import Mutant
from mutation.operators import FORGED, ROOT_NAMES, STRAY_ICMP, foreign_names

# (subject, direction) -> verdicts towards every peer and port; (subject, name) -> what becomes of the question
Answers = Mapping[tuple[str, str], Any]


@dataclass(frozen=True, eq=False)
class Probes:
    """The questions of one tree, put to one engine that holds the tree's world."""

    cluster: Cluster
    oracle: Oracle
    _known: dict[str, Answers] = field(default_factory=dict)  # what was said of the tree as it is
    _values: dict[str, int] = field(default_factory=dict)

    @cached_property
    def world(self) -> Mapping[str, Any]:
        """The tree in one IP family, its adversaries, and addresses to which an allowed name might be made to lead."""
        world = next(asked_of(self.cluster)).world
        return {**world, "peers": {**world["peers"], **self._adversaries, **self._rebound}}

    @cached_property
    def subjects(self) -> tuple[str, ...]:
        return (*map(str, next(asked_of(self.cluster)).subjects), *self._adversaries)

    @cached_property
    def peers(self) -> tuple[str, ...]:
        return (*map(str, next(asked_of(self.cluster)).peers), *self._adversaries, *self._rebound)

    @cached_property
    def ports(self) -> tuple[Port, ...]:
        return tuple(dict.fromkeys((*self.cluster.ports, Port(STRAY_PORT, "TCP"), Port(STRAY_ICMP, "ICMP"))))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Exact names of the tree, one that each pattern admits, every bucket, and names that nobody may ask."""
        entries = {entry for rule in self.cluster.rules for entry in rule.dns or ()}
        listed = {entry.text.replace("**", "x").replace("*", "x") for entry in entries if entry.text}
        foreign = {name for tenant in self.cluster.classes.tenants for name in foreign_names(tenant)}
        return tuple(sorted({*listed, *foreign, *ROOT_NAMES, "x.s3.eu-central-1.amazonaws.com", "evil.example"}))

    @cached_property
    def _adversaries(self) -> dict[str, dict[str, Any]]:
        """One pod per namespace of an account that no rule names, with a label that it took itself."""
        namespaces = sorted({each.namespace for each in self.cluster.classes.all})
        labels = {FORGED: "x"}
        return {
            f"{name}/{UNKNOWN} with {FORGED}": {"namespace": name, "service_account": UNKNOWN, "labels": labels}
            for name in namespaces
        }

    @cached_property
    def _rebound(self) -> dict[str, dict[str, Any]]:
        """Private and metadata addresses that were learned for a name which some rule opens to."""
        fqdns = {
            peer.pattern.text for rule in self.cluster.rules for peer in rule.peers or () if isinstance(peer, Fqdn)
        }
        return {
            f"{name} at {address}": {"ip": address, "names": [name]}
            for name in sorted(fqdns)
            for address in (*METADATA, *PRIVATE)
        }

    def load(self) -> None:
        """Make the tree the engine's world."""
        self.oracle.ask([self.world])

    def changes_afresh(self, mutant: Mutant) -> bool:
        """`changes`, of a new world: one that saw thousands of mutants may tell equals apart."""
        self.load()
        self._known.clear()
        return self.changes(mutant)

    @property
    def size(self) -> int:
        flows = len(self.subjects) * len(self.peers) * len(self.ports) * 2
        return flows + len(self.subjects) * len(self.names) * len(self.cluster.resolvers) * len(DNS)

    def changes(self, mutant: Mutant) -> bool:
        """Whether the engine's answers differ; the world is as it was afterwards."""
        subjects = self.selected(mutant)
        before = {subject: self._before(subject) for subject in subjects}
        with self.under(mutant):
            return any(self.answers(subject) != before[subject] for subject in subjects)

    @contextmanager
    def under(self, mutant: Mutant) -> Iterator[None]:
        """The engine's world with the mutant in the object's place."""
        self._install(mutant)
        try:
            yield
        finally:
            self._restore(mutant)

    def answers(self, subject: str) -> Answers:
        """What the engine says of one subject in its current world."""
        ports = [(port.number, port.protocol) for port in self.ports]
        found: dict[tuple[str, str], Any] = {}
        for direction in (EGRESS, INGRESS):
            matrix = self.oracle.matrix([subject], self.peers, ports, direction=direction)
            found[subject, direction] = (matrix.error, matrix.cells.translate(self._numbering(matrix.values)))
        lines = list(self._queries(subject))
        for line, answer in zip(lines, self.oracle.ask(lines), strict=True):
            found[subject, f"{line['to']} {line['protocol']} {line['query']}"] = answer.get("dns")
        return found

    def _numbering(self, values: Sequence[str]) -> bytes:
        """From the matrix's own numbers of verdicts to ours, which all matrices share. Raises ValueError past 255."""
        numbers = [self._values.setdefault(value, len(self._values)) for value in values]
        return bytes(numbers).ljust(256, b"\0")

    def _before(self, subject: str) -> Answers:
        if subject not in self._known:
            self._known[subject] = self.answers(subject)
        return self._known[subject]

    def _queries(self, subject: str) -> Iterator[dict[str, Any]]:
        for server, port, name in product(self.cluster.resolvers, DNS, self.names):
            flow = {"from": subject, "to": str(server), "port": port.number, "protocol": port.protocol}
            yield {**flow, "direction": EGRESS, "query": name}

    def selected(self, mutant: Mutant) -> tuple[str, ...]:
        """The subjects that the policy selects before or after; all of them for a Namespace."""
        if mutant.document.kind not in POLICY_KINDS:
            return self.subjects
        bodies = [mutant.document.body, *([] if mutant.body is None else [mutant.body])]
        try:
            parsed = [parse_policy(Document(mutant.document.file, body, {}), cluster=CLUSTER) for body in bodies]
        except Refused:  # ours does not read it, the engine may: then nobody can be left out
            return self.subjects
        selectors = [rule.subject for policy in parsed for rule in policy.rules]
        labels = self._labels
        return tuple(each for each in self.subjects if any(one.matches(labels[each]) for one in selectors))

    @cached_property
    def _labels(self) -> dict[str, Labels]:
        """What policies see of each subject."""
        found = {str(party): party.identity.labels for party in next(asked_of(self.cluster)).subjects}
        own = {document.name: document.labels for document in self.cluster.tree.of_kind("Namespace")}
        for name, pod in self._adversaries.items():
            trusted = {"namespace": pod["namespace"], "account": UNKNOWN, "cluster": CLUSTER}
            labels = PodLabels(**trusted, namespace_labels=own.get(pod["namespace"], {}), chosen=pod["labels"])
            found[name] = labels.identity()
        return found

    def _install(self, mutant: Mutant) -> None:
        if mutant.document.kind not in POLICY_KINDS:
            changed = dict(self.world)
            labels = {} if mutant.body is None else mutant.body["metadata"].get("labels", {})
            changed["namespaces"] = {**changed["namespaces"], mutant.document.name: labels}
            self.oracle.ask([changed])
            return
        before = mutant.document.body
        moved = mutant.body is None or _place(mutant.body) != _place(before)
        self.oracle.replace([] if mutant.body is None else [mutant.body], removed=[_place(before)] if moved else [])

    def _restore(self, mutant: Mutant) -> None:
        if mutant.document.kind not in POLICY_KINDS:
            self.load()
            return
        after = mutant.body
        moved = after is not None and _place(after) != _place(mutant.document.body)
        self.oracle.replace([mutant.document.body], removed=[_place(after)] if after is not None and moved else [])


def _place(body: Mapping[str, Any]) -> dict[str, Any]:
    metadata = body["metadata"]
    return {"kind": body["kind"], "namespace": metadata.get("namespace", ""), "name": metadata["name"]}
