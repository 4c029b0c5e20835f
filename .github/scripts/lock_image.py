"""Writes a digest into images.lock: of what was just built, or of what the mirror holds under a tag.

The only writer of images.lock, and with `--file charts.lock` of that one. `lock_image.py services sha256:...` is the
images workflow's; with `--mirror vllm` (`make lock-images`) it asks the registry that the lock names for the tag in
`from`, and needs that registry.
"""

import argparse
import json
import re
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import yaml

_KEYS = {"repository", "digest", "from"}
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",  # a chart is one, too
    "application/vnd.docker.distribution.manifest.v2+json",
)
Ask = Callable[[str, str], str]  # (repository, tag) -> `sha256:...`


class NoDigestError(Exception):
    """What should be locked is not known; the text says why."""


def entries(text: str) -> dict[str, dict[str, str]]:
    """The lock by role. Raises NoDigestError when it is none."""
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise NoDigestError(f"the lock is not YAML ({' '.join(str(error).split())}); mend it") from None
    if not isinstance(found, dict) or not all(isinstance(each, dict) and set(each) >= _KEYS for each in found.values()):
        raise NoDigestError(f"the lock is no mapping of roles to {', '.join(sorted(_KEYS))}; mend it")
    return {str(role): {str(key): str(value) for key, value in each.items()} for role, each in found.items()}


def locked(text: str, role: str, digest: str) -> str:
    """The lock's text with another digest in one role; comments and order stay. Raises NoDigestError."""
    match = _DIGEST.fullmatch(digest)
    if not match or set(match[1]) == {"0"}:
        raise NoDigestError(f"{role}: {digest!r} is no digest; give sha256: and 64 hexadecimal digits of a real image")
    found = re.compile(rf'(^{re.escape(role)}:\n(?:  .*\n)*?  digest: ")[0-9a-f]{{64}}(")', re.MULTILINE)
    changed, count = found.subn(rf"\g<1>{match[1]}\g<2>", text)
    if count != 1:
        raise NoDigestError(f"{role}: is no role of the lock; use one of {', '.join(entries(text))}")
    return changed


def mirrored(text: str, role: str, ask: Ask) -> str:
    """The lock's text with what the mirror holds under the tag that `from` names. Raises NoDigestError."""
    entry = entries(text).get(role)
    if entry is None:
        raise NoDigestError(f"{role}: is no role of the lock")
    _, _, tag = entry["from"].rpartition(":")
    if not re.fullmatch(r"[\w.-]{1,128}", tag) or ":" not in entry["from"]:
        raise NoDigestError(
            f"{role}: `from` is {entry['from']!r} and names no tag; only an upstream release is mirrored"
        )
    return locked(text, role, ask(entry["repository"], tag))


def ask_registry(repository: str, tag: str) -> str:
    """Digest of a tag by the registry's own answer (OCI distribution specification, HEAD of a manifest)."""
    host, _, path = repository.partition("/")
    question = urllib.request.Request(
        f"https://{host}/v2/{path}/manifests/{tag}", method="HEAD", headers={"Accept": ", ".join(_INDEXES)}
    )
    try:
        with urllib.request.urlopen(question, timeout=30) as answer:  # noqa: S310 - the scheme is written above
            return str(answer.headers["Docker-Content-Digest"])
    except OSError as error:
        raise NoDigestError(f"{repository}:{tag}: the registry gives no digest ({error}); mirror it there") from error


def references(text: str) -> list[str]:
    """`repository@sha256:digest` of every entry whose digest is known. Raises NoDigestError."""
    known = [each for each in entries(text).values() if set(each["digest"]) != {"0"}]
    return [f"{each['repository']}@sha256:{each['digest']}" for each in known]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", nargs="?", help="entry of the lock; not with --list")
    parser.add_argument("digest", nargs="?", help="sha256:...; not with --mirror")
    parser.add_argument("--mirror", action="store_true")
    parser.add_argument("--list", action="store_true", help="print what is known, as an output of a workflow's step")
    parser.add_argument("--file", type=Path, default=Path("images.lock"), metavar="LOCK")
    options = parser.parse_args()
    if options.role is None and not options.list:
        parser.error("name the entry to lock, or --list")
    try:
        text = options.file.read_text(encoding="utf-8")
        if options.list:
            sys.stdout.write(f"references={json.dumps(references(text))}\n")
        else:
            options.file.write_text(_changed(text, options), encoding="utf-8")
    except (NoDigestError, UnicodeDecodeError) as error:
        sys.stderr.write(f"lock_image: {options.file}: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"lock_image: {options.file}: cannot be read or written ({error.strerror})\n")
        return 2
    return 0


def _changed(text: str, options: argparse.Namespace) -> str:
    if options.mirror:
        return mirrored(text, options.role, ask_registry)
    return locked(text, options.role, options.digest or "")


if __name__ == "__main__":
    sys.exit(main())
