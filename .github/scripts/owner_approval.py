"""Fails when a tenant's files change without the approval of one of its owners.

Owners are read from the base branch, so a change cannot appoint its own approver. A new tenant needs a platform owner:
one of those that the `*` line of .github/CODEOWNERS names. Only an approval of the newest commit counts.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from history import NoAnswerError, answer, changed_paths, commit, fork, git

CODEOWNERS = ".github/CODEOWNERS"
_TENANT_PATH = re.compile(r"tenants/([^/]+?)(?:\.yaml|/models/.+)")

Owners = Sequence[str]  # "@name" or "@org/team", as GitHub writes them
IsMember = Callable[[str, str], bool]  # (account, "org/team") -> whether it is in the team


def changed_tenants(paths: Iterable[str]) -> list[str]:
    """Tenants whose file or model records are among the paths."""
    return sorted({match[1] for path in paths if (match := _TENANT_PATH.fullmatch(path))})


def approvers(reviews: Iterable[Mapping[str, Any]], *, head: str) -> set[str]:
    """Accounts whose last verdict is an approval of the commit `head`. Reviews come oldest first."""
    verdicts: dict[str, bool] = {}
    for review in reviews:
        if review["user"] and review["state"] != "COMMENTED":  # a remark leaves the verdict as it is
            verdicts[review["user"]["login"]] = review["state"] == "APPROVED" and review["commit_id"] == head
    return {account for account, approves in verdicts.items() if approves}


def is_among(account: str, owners: Owners, is_member: IsMember) -> bool:
    """Whether the account is an owner itself or in an owning team. GitHub ignores the case of names."""
    names = [owner.removeprefix("@") for owner in owners]
    return account.lower() in {name.lower() for name in names} or any(
        is_member(account, name) for name in names if "/" in name
    )


def missing(
    owners: Mapping[str, Owners], platform: Owners, approved: Collection[str], *, is_member: IsMember
) -> list[str]:
    """One text per tenant whose change nobody entitled has approved."""
    texts = []
    for tenant, named in owners.items():
        entitled = named or platform
        if not any(is_among(account, entitled, is_member) for account in sorted(approved)):
            who = "owners" if named else "platform owners (a new tenant)"
            texts.append(f"tenants/{tenant}: no approval by its {who}; ask {' or '.join(entitled)} to approve")
    return texts


class Repository:
    """The base branch, read through git; nothing of the working tree."""

    def __init__(self, folder: Path, base: str) -> None:
        self.folder, self.base = folder, commit(folder, base)

    def changed_paths(self, head: str) -> list[str]:
        """Both names of a moved file, so that moving a tenant away asks its owners too."""
        return changed_paths(self.folder, fork(self.folder, self.base, head), head)

    def owners(self, tenant: str) -> list[str]:
        """Owners of a tenant on the base branch; none when it is new there."""
        path = f"tenants/{tenant}.yaml"
        if not git(self.folder, "ls-tree", "--name-only", self.base, "--", path):
            return []
        try:
            owners = yaml.safe_load(self._file(path))["owners"]
        except (yaml.YAMLError, TypeError, KeyError):
            owners = None
        if not isinstance(owners, list):
            raise NoAnswerError(f"{path}: names no list `owners` on the base branch; mend it there")
        return [str(owner) for owner in owners]

    def platform_owners(self) -> list[str]:
        for line in self._file(CODEOWNERS).splitlines():
            if (words := line.split())[:1] == ["*"]:
                return words[1:]
        raise NoAnswerError(f"{CODEOWNERS}: has no line `*` on the base branch; name the platform's owners there")

    def _file(self, path: str) -> str:
        """Of the base branch. Raises NoAnswerError, as all of these do."""
        return git(self.folder, "show", f"{self.base}:{path}")


def reviews_of(number: str) -> list[dict[str, Any]]:
    """Reviews of a pull request, oldest first. Raises NoAnswerError."""
    path = f"repos/{os.environ.get('GITHUB_REPOSITORY', '')}/pulls/{number}/reviews"
    pages = answer("gh", "api", "--paginate", "--slurp", path, of="gh api")
    return [review for page in json.loads(pages) for review in page]


def is_team_member(account: str, team: str) -> bool:
    """Asks GitHub with MEMBERS_TOKEN, as a workflow's own token may not read teams. Without it nobody is a member."""
    org, _, name = team.partition("/")
    environment = {**os.environ, "GH_TOKEN": os.environ.get("MEMBERS_TOKEN", "")}
    command = ["gh", "api", "--jq", ".state", f"orgs/{org}/teams/{name}/memberships/{account}"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    return done.returncode == 0 and done.stdout.strip() == "active"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", required=True, help="commit of the base branch")
    parser.add_argument("--head", required=True, help="newest commit of the pull request")
    parser.add_argument("--number", required=True, help="number of the pull request")
    options = parser.parse_args()
    try:
        tenants, texts = verdict(Repository(Path(), options.base), options.head, options.number)
    except NoAnswerError as error:
        sys.stderr.write(f"owner_approval: {error}\n")
        return 2
    if tenants:
        print("\n".join(texts) or f"approved: {', '.join(tenants)}")
    return 1 if texts else 0


def verdict(repository: Repository, head: str, number: str) -> tuple[list[str], list[str]]:
    """The tenants that the pull request changes, and what is missing. Raises NoAnswerError."""
    tenants = changed_tenants(repository.changed_paths(head))
    if not tenants:
        return [], []
    owners = {tenant: repository.owners(tenant) for tenant in tenants}
    approved = approvers(reviews_of(number), head=commit(repository.folder, head))
    return tenants, missing(owners, repository.platform_owners(), approved, is_member=is_team_member)


if __name__ == "__main__":
    sys.exit(main())
