"""Names in DNS rules, toFQDNs and serverNames: wildcards that miss or admit too much, and lists that disagree.

Source: Cilium 1.20, pkg/fqdn/matchpattern; the spellings of object stores are their vendors' published ones.
"""

import re
from collections.abc import Iterator
from typing import Any

from isolation.linting.findings import Hit
from isolation.linting.objects import Entry, Policy, PortRule
from isolation.linting.plain import mapped
from isolation.manifests.reading import DocumentPath
from isolation.policies.names import NamePattern

_LONGEST = 255  # of a DNS name; a longer text is refused, and its wildcards are nobody's concern
_S3 = r"s3(?:[.-](?:dualstack|fips|accelerate|website|[a-z]{2}(?:-[a-z]+)+-[0-9]|\*))*\.amazonaws\.com(?:\.cn)?"
_STORES = re.compile(
    rf"(?P<head>.*?)(?P<root>(?<![a-z0-9-]){_S3}|storage\.googleapis\.com|blob\.core\.windows\.net"
    r"|(?:r2|[a-z0-9]+\.r2)\.cloudflarestorage\.com|[a-z0-9-]*\.?digitaloceanspaces\.com)\.?",
    re.IGNORECASE,
)
SHARED_HOSTS = re.compile(
    r"(.+\.)?(amazonaws\.com|cloudfront\.net|googleapis\.com|core\.windows\.net|azureedge\.net|r2\.cloudflarestorage\.com"
    r"|digitaloceanspaces\.com|github\.io|githubusercontent\.com|github\.com|netlify\.app|vercel\.app|fastly\.net"
    r"|akamaized\.net|herokuapp\.com|run\.app|web\.app|pages\.dev|workers\.dev|hf\.co|huggingface\.co)\.?",
    re.IGNORECASE,
)
_CLUSTER = re.compile(r".*\.(svc|cluster\.local)\.?", re.IGNORECASE)


def names(policy: Policy) -> Iterator[Hit]:
    """Every name of one object."""
    for entry in policy.entries:
        if not entry.opens_egress:
            continue
        for path, item in entry.items("FQDNs"):
            yield from _name(policy, path, mapped(item), is_dns=False)
        for rule in entry.port_rules:
            yield from _short_names(policy, rule)
            for path, dns_item in rule.l7("dns"):
                yield from _name(policy, path, dns_item, is_dns=True)
                if not dns_item:
                    yield Hit("TN620", policy, path, "an empty item matches no name: every query is refused")
            yield from _server_names(entry, rule)


def patterns(entry: Entry) -> list[tuple[DocumentPath, NamePattern]]:
    """toFQDNs as the matcher reads them."""
    found = []
    for path, item in entry.items("FQDNs"):
        if text := str(mapped(item).get("matchPattern") or ""):
            found.append((path, NamePattern(text.lower(), is_pattern=True)))
        elif text := str(mapped(item).get("matchName") or ""):
            found.append((path, NamePattern(text.lower(), is_pattern=False)))
    return found


def _name(policy: Policy, path: DocumentPath, item: Any, *, is_dns: bool) -> Iterator[Hit]:
    pattern, name = str(item.get("matchPattern") or "").lower(), str(item.get("matchName") or "").lower()
    if len(pattern) > _LONGEST or len(name) > _LONGEST:
        return
    if NamePattern(pattern, is_pattern=True).is_everything:
        rule, what = (
            ("TN501", "every name is answered") if is_dns else ("TN502", "every address that has a name is open")
        )
        yield Hit(rule, policy, path, f"`{pattern}`: {what}")
    elif "*" in pattern:
        yield from _wildcard(policy, path, pattern, is_dns=is_dns)
    store = _STORES.fullmatch(name)
    if store and not store["head"]:
        yield Hit("TN512", policy, path, f"{name} serves every bucket of the store")
    if store and store["head"].rstrip(".").count("."):
        yield Hit("TN514", policy, path, f"the bucket of {name} has a dot in its name")


def _short_names(policy: Policy, rule: PortRule) -> Iterator[Hit]:
    """Names that lack their search domain, and nothing in the list has it."""
    written = [(path, str(item.get("matchName") or "").lower().rstrip(".")) for path, item in rule.l7("dns")]
    for path, name in written:
        is_short = name and ("." not in name or name.endswith(".svc"))
        if is_short and not any(other.startswith(f"{name}.") for _, other in written):
            yield Hit("TN517", policy, path, f"{name} is asked with a search domain appended")


def _wildcard(policy: Policy, path: DocumentPath, pattern: str, *, is_dns: bool) -> Iterator[Hit]:
    """A pattern with a star that is not the whole of it."""
    if _CLUSTER.fullmatch(pattern):
        labels = pattern.rstrip(".").split(".")
        service = labels.index("svc") if "svc" in labels else len(labels)
        if service and "*" in labels[service - 1]:
            yield Hit("TN509", policy, path, f"`{pattern}` crosses namespaces")
        return
    store = _STORES.fullmatch(pattern)
    if store and "*" in pattern:
        yield Hit("TN503", policy, path, f"`{pattern}` admits buckets of everyone")
        if re.fullmatch(r"\*\.s3\.amazonaws\.com\.?", pattern):
            yield Hit("TN504", policy, path, f"`{pattern}` does not match bucket.s3.eu-west-1.amazonaws.com")
    elif is_dns:
        yield Hit("TN516", policy, path, f"whoever runs a zone under `{pattern}` receives data in the labels asked for")
    rest = pattern.removeprefix("**.")
    if "**" in rest:
        yield Hit("TN507", policy, path, f"`**` in `{pattern}` is `*`: it crosses no dot")
    first = pattern.split(".", maxsplit=1)[0]
    if re.fullmatch(r"[^*]+\*", first) and not store:
        yield Hit("TN505", policy, path, f"`{pattern}` matches {first.rstrip('*-')}-evil as well")
    elif re.fullmatch(r"\*+[^*]+", first):
        yield Hit("TN506", policy, path, f"`{pattern}` matches evil{first.lstrip('*')}, no subdomain")


def _server_names(entry: Entry, rule: PortRule) -> Iterator[Hit]:
    listed_names = [(path, text.lower().rstrip(".")) for path, text in rule.server_names]
    for path, text in listed_names:
        if NamePattern(text, is_pattern=True).is_everything:
            yield Hit("TN604", entry.policy, path, f"`{text}` lets every server name pass")
    reached = patterns(entry)
    if not listed_names or not reached:
        return
    wanted = {pattern.text.rstrip(".") for _, pattern in reached}
    for path, text in listed_names:
        if text not in wanted and not any(pattern.matches(text) for _, pattern in reached):
            yield Hit("TN513", entry.policy, path, f"{text} is no name of toFQDNs here")
    served = [NamePattern(text, is_pattern="*" in text) for _, text in listed_names]
    for path, pattern in reached:
        if pattern.text.rstrip(".") not in {text for _, text in listed_names} and not any(
            each.matches(pattern.text) for each in served
        ):
            yield Hit(
                "TN513", entry.policy, path, f"{pattern.text} is no server name here: its connections are refused"
            )
