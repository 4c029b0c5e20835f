"""Every name of every tenant's bucket and services, indexed so that a DNS rule is compared with all of them at once."""

from bisect import bisect_left
from collections.abc import Iterator
from functools import cached_property

from isolation.classes.buckets import bucket_spellings, expansions, service_spellings
from isolation.classes.profile import Profile
from isolation.manifests.tree import Tree
from isolation.policies.names import NamePattern, normal


class SpelledNames:
    """normal name -> its owners, each with a spelling as it would be sent. Roots of a store belong to every tenant."""

    def __init__(self, tree: Tree, profile: Profile, tenants: tuple[str, ...]) -> None:
        self.owners: dict[str, dict[str, str]] = {}
        self.count = dict.fromkeys(tenants, 0)
        for tenant in tenants:
            for name in (*bucket_spellings(profile, tenant), *service_spellings(tree, tenant)):
                for sent in expansions(name, profile):
                    self.owners.setdefault(normal(sent), {}).setdefault(tenant, sent)
        for owners in self.owners.values():
            for tenant in owners:
                self.count[tenant] += 1

    def matching(self, entry: NamePattern) -> Iterator[str]:
        """The normal names that the entry lets pass; a pattern is tried on names that share its end."""
        if not entry.is_pattern:
            if normal(entry.text) in self.owners:
                yield normal(entry.text)
            return
        tail = normal(entry.text).rpartition("*")[2][::-1]
        start = bisect_left(self._from_the_end, tail)
        for reverse in self._from_the_end[start:]:
            if not reverse.startswith(tail):
                return
            if entry.matches(reverse[::-1]):
                yield reverse[::-1]

    @cached_property
    def _from_the_end(self) -> list[str]:
        return sorted(name[::-1] for name in self.owners)
