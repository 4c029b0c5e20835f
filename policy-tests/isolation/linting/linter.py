"""The linter: which checks run, in which order. It needs no tenants and no cluster, only policies."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from isolation.linting.catalogue import LintRule, catalogue
from isolation.linting.documents import documents, is_policy, is_served
from isolation.linting.findings import Finding, Hit, place
from isolation.linting.inputs import Inputs
from isolation.linting.meetings import Placed, groups
from isolation.linting.names import names
from isolation.linting.no_effect import no_effect
from isolation.linting.objects import CLUSTERWIDE, Policy
from isolation.linting.peers import other_clusters, peers
from isolation.linting.plain import mapped
from isolation.linting.proxies import proxies
from isolation.linting.reach import one_family, own_dns_server, reach, service_of
from isolation.linting.rejected import rejected
from isolation.linting.remaining import remaining
from isolation.linting.shapes import shapes
from isolation.linting.siblings import same_names, siblings
from isolation.linting.ways_around import ways_around
from isolation.manifests.refusals import Refused
from isolation.manifests.tree import Document
from isolation.policies.agent import Agent
from isolation.policies.parsing import parse_policy

_ALONE = (shapes, rejected, no_effect, peers, names, proxies, one_family, own_dns_server)
_SETTLED = {  # a setting of the cluster's cilium-config that makes a finding untrue
    "TN220": ("enable-node-selector-labels", "true"),
    "TN225": ("enable-extended-ip-protocols", "true"),
    "TN307": ("mesh-auth-enabled", "true"),
    "TN322": ("enable-extended-ip-protocols", "true"),
    "TN316": ("enable-host-firewall", "true"),
    "TN808": ("enable-ipv6", "false"),
}


@dataclass(frozen=True)
class Report:
    """findings: sorted by file and line. passed_over: objects of other kinds, of which only
    ways around policies are told. ignored: findings that a comment
    silenced."""

    findings: tuple[Finding, ...]
    files: int
    policies: int
    passed_over: int
    ignored: int
    not_read: int = 0

    @property
    def is_unreadable(self) -> bool:
        """A file could not be read at all."""
        return any(finding.rule == "TN001" for finding in self.findings)


def lint(inputs: Inputs, *, without: frozenset[str] = frozenset()) -> Report:
    """Every finding in the files. without: ids of rules that are left out."""
    policies = [each for each in inputs.objects if is_policy(each)]
    rules = catalogue()
    settings = _settings(inputs)
    told = [_told(hit, rules[hit.rule]) for hit in _hits(inputs, policies, settings) if not _is_settled(hit, settings)]
    told += [
        Finding(one.file, one.line, one.rule, rules[one.rule].severity, one.path, "", one.why, rules[one.rule].fix)
        for one in inputs.remarks
    ]
    found = {finding for finding in told if finding.rule not in without}
    kept = {one for one in found if not inputs.is_ignored(one.file, one.line, one.rule)}
    return Report(
        tuple(sorted(kept)),
        files=inputs.files,
        policies=len(policies),
        passed_over=len(inputs.objects) - len(policies),
        ignored=len(found) - len(kept),
        not_read=inputs.not_read,
    )


def _hits(inputs: Inputs, policies: list[Policy], settings: Mapping[str, str]) -> Iterator[Hit]:
    for each in inputs.objects:
        yield from documents(each)
        if not is_policy(each):
            yield from ways_around(each)
    agent = _agent(settings)
    placed: list[Placed] = []
    for policy in policies:
        found = [hit for check in _ALONE for hit in check(policy)]
        found += other_clusters(policy, local=agent.cluster)
        yield from found
        if not is_served(policy):
            continue
        try:
            parsed = parse_policy(_applied(policy), cluster=agent.cluster, agent=agent, strict=False)
        except Refused as refused:
            yield Hit("TN003", policy, (), f"{refused.at}: {refused.why}" if refused.at else refused.why)
            continue
        yield from remaining(policy, parsed, found)
        placed += [Placed(policy, rule) for rule in parsed.rules]
    yield from same_names(policies)
    services = [service_of(each.document.body) for each in inputs.objects if each.kind == "Service"]
    for rules in groups(placed):
        yield from siblings(rules)
        yield from reach(rules, services)


def _applied(policy: Policy) -> Document:
    """Where an object without a namespace is applied, its caller decides; any one name will do."""
    document = policy.document
    if document.namespace is not None or policy.kind == CLUSTERWIDE:
        return document
    metadata = {**mapped(document.body.get("metadata")), "namespace": "default"}
    return replace(document, body={**document.body, "metadata": metadata})


def _told(hit: Hit, rule: LintRule) -> Finding:
    line, path = place(hit)
    document = hit.policy.document
    return Finding(document.file, line, hit.rule, rule.severity, path, hit.policy.reference, hit.detail, rule.fix)


def _settings(inputs: Inputs) -> dict[str, str]:
    """Cilium's own configuration, where it stands among the files."""
    for each in inputs.objects:
        if each.kind == "ConfigMap" and each.document.name == "cilium-config":
            data = mapped(each.document.body.get("data"))
            return {str(key): str(value).lower() for key, value in data.items()}
    return {}


def _agent(settings: Mapping[str, str]) -> Agent:
    return Agent(
        cluster=settings.get("cluster-name", "default"),
        ipv6=settings.get("enable-ipv6") == "true",
        extended_ip_protocols=settings.get("enable-extended-ip-protocols") == "true",
        node_selector_labels=settings.get("enable-node-selector-labels") == "true",
    )


def _is_settled(hit: Hit, settings: Mapping[str, str]) -> bool:
    setting, value = _SETTLED.get(hit.rule, ("", ""))
    return bool(setting) and settings.get(setting) == value
