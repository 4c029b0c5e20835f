"""The catalogue as a page of Markdown."""

from collections.abc import Iterator

from isolation.linting.catalogue import LintRule, chapters

_HEAD = """\
# Rules of `tenon lint`

Printed by `tenon lint --list --markdown`. Each rule has an example that it finds and one that it passes; an example
without `kind` is the spec of a CiliumNetworkPolicy in the namespace `team-a`. The semantics are Cilium 1.20's.

- **error**: the text does not do what it says: it is refused, opens more, or does nothing.
- **warning**: it does what it says, and that is seldom meant, or depends on settings and objects elsewhere.
- **note**: worth knowing when the policy is reviewed.

The linter needs no tenants and no cluster, so it speaks of one policy, of policies about the same pods, and of fields
in other manifests that lead around them. What holds for a whole rendered tree is `tenon prove`'s: that no pod of one
tenant reaches another on any port, which names are answered, which accounts may write policies, what admission
refuses, how quotas and delivery keep tenants apart, and whether anything is left out. A tree without findings here is
not proved, and aliases, which are written out here, are refused there.

`--disable TN123` leaves a rule out; `# tenon-lint: ignore TN123 why` on the line, or alone on the line above, silences
it there.
"""


def catalogue_page() -> str:
    """Every rule with its explanation, fix and examples."""
    return "\n".join([_HEAD, *(line for chapter in chapters() for line in _chapter(chapter.title, chapter.rules))])


def _chapter(title: str, rules: tuple[LintRule, ...]) -> Iterator[str]:
    yield f"## {title}\n"
    for rule in rules:
        yield f"### {rule.id} {rule.name}\n"
        yield f"**{rule.severity}** · {rule.explanation}\n\nFix: {rule.fix}\n"
        yield f"```yaml\n# finds\n{rule.bad}```\n\n```yaml\n# passes\n{rule.good}```\n"
