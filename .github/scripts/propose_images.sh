#!/usr/bin/env bash
# Commits the lock with everything that rendering made of it, new files and removed ones too, pushes the branch $1 and
# opens the pull request. GH_TOKEN writes contents and pull requests; PROPOSE=no stops before the push, for tests.
set -euo pipefail
branch=$1
git switch --quiet --create "$branch"
git add --all images.lock rendered
git -c user.name=images -c user.email=images@users.noreply.github.com commit --quiet \
  --message "Name the images that commit $(git rev-parse HEAD) builds"
[ "${PROPOSE:-yes}" = yes ] || exit 0
gh auth setup-git
git push --quiet origin "$branch"
gh pr create --fill --head "$branch" --label images
