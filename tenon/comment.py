"""Sections as the pull request comment: Markdown that GitHub accepts whole."""

from collections import Counter
from collections.abc import Sequence

from generators.changes.objects import Section

MOST_CHARACTERS = 65_536  # of one comment on GitHub
_RESERVED = 600  # of each section's part: heading, table head, and the line that says what was left out
_OPEN_ROWS = 20  # a longer table is folded
_NAMED = 5  # tenants that the line about left-out rows names


def markdown(title: str, sections: Sequence[Section], *, most: int = MOST_CHARACTERS) -> str:
    """The comment, shorter than `most` characters: long tables are cut, with a count per tenant."""
    parts = [f"## {title}\n"]
    for number, section in enumerate(sections):
        left = len(sections) - number
        parts.append(_section(section, (most - sum(map(len, parts))) // left - _RESERVED))
    return "".join(parts)


def _section(section: Section, room: int) -> str:
    if not section.rows:
        return f"\n### {section.title}\n"
    lines, used = [], 0
    for row in section.rows:
        line = f"| {' | '.join(_cell(cell) for cell in row)} |\n"
        if (used := used + len(line)) > room:
            break
        lines.append(line)
    table = f"| {' | '.join(section.columns)} |\n|{' --- |' * len(section.columns)}\n{''.join(lines)}"
    folded = f"<details><summary>{len(section.rows)} rows</summary>\n\n{table}\n</details>\n"
    body = table if len(section.rows) <= _OPEN_ROWS else folded
    return f"\n### {section.title}\n\n{body}{_left_out(section, len(lines))}"


def _left_out(section: Section, kept: int) -> str:
    counted = Counter(_cell(row[0]) for row in section.rows[kept:])
    if not counted:
        return ""
    named = ", ".join(f"{owner} {number}" for owner, number in counted.most_common(_NAMED))
    more = f" and {len(counted) - _NAMED} more tenants" if len(counted) > _NAMED else ""
    return f"\n{counted.total()} rows are left out ({named}{more}); `tenon diff --json` has all.\n"


def _cell(value: object) -> str:
    """Code, in which no text of a tree is a mention, a link, HTML or the end of the cell."""
    text = " ".join(str(value).replace("`", "'").replace("|", "\\|").split())
    return f"`{text}`" if text else ""
