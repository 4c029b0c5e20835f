"""Whether a version's folder is what was published: nothing changed, nothing added, no code, signed by whom.

Its statement repeats the manifest's facts and digests, and the manifest has one form, so one changed byte anywhere
shows even without a key. A key shows more: that nobody made a whole other version of that name.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.contract.bucket import MANIFEST, PROVENANCE, SIGNATURE
from trainer.publishing import manifest, signature
from trainer.publishing.executable import may_run
from trainer.publishing.provenance import PREDICATE, STATEMENT

_BESIDE = {MANIFEST, PROVENANCE, SIGNATURE}  # what the statement does not list: itself, and what is made after it


@dataclass(frozen=True)
class Finding:
    """One rule of a check. file: relative to the folder."""

    rule: str
    file: str
    text: str


@dataclass(frozen=True)
class Verified:
    """What was found. signer: id of the key that signed; None when it is unsigned, or no key was given."""

    findings: tuple[Finding, ...]
    facts: dict[str, Any]
    files: int
    is_signed: bool
    is_checked: bool

    @property
    def holds(self) -> bool:
        return not self.findings


def check(folder: Path, *, public_key: Path | None) -> Verified:
    """All that is wrong with a folder. Raises manifest.Incomplete when it has no manifest, BadInput for a bad key."""
    try:
        content = (folder / MANIFEST).read_bytes()
    except OSError as error:
        raise manifest.Incomplete(
            f"{folder}: has no {MANIFEST} ({error.strerror}); name a published version"
        ) from error
    document = manifest.parse(content, where=str(folder))
    files = document["files"]
    facts = {name: value for name, value in document.items() if name != "files"}
    findings = [*_form(content, document), *_files(folder, files), *_code(folder), *_statement(folder, files, facts)]
    findings += _signature(folder, public_key)
    is_signed = (folder / SIGNATURE).is_file()
    return Verified(tuple(findings), facts, len(files), is_signed, is_checked=is_signed and public_key is not None)


def _form(content: bytes, document: dict[str, Any]) -> list[Finding]:
    if manifest.to_json(document).encode() == content:
        return []
    return [Finding("manifest", MANIFEST, "is not in the form it was written in; fetch it again")]


def _files(folder: Path, files: dict[str, Any]) -> list[Finding]:
    """Every listed file as it was, and no other."""
    found = []
    for name, entry in files.items():
        path = folder / name
        if not path.is_file() or path.is_symlink():
            found.append(Finding("digest", name, "is listed and not there; fetch it again"))
        elif path.stat().st_size != entry["bytes"] or manifest.sha256_of(path) != entry["sha256"]:
            found.append(Finding("digest", name, f"is not the file with sha256 {entry['sha256']}; fetch it again"))
    for name in manifest.unlisted(folder, files):
        is_link = (folder / name).is_symlink()
        text = "is a link, which may lead anywhere" if is_link else "is not in the manifest"
        found.append(Finding("listed", name, f"{text}; remove it"))
    return found


def _code(folder: Path) -> list[Finding]:
    """Nothing in the folder may run when it is loaded, by its name or by its content."""
    text = "may run code when it is loaded; a version holds safetensors, GGUF, JSON and text"
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return [Finding("code", path.relative_to(folder).as_posix(), text) for path in paths if may_run(path)]


def _statement(folder: Path, files: dict[str, Any], facts: dict[str, Any]) -> list[Finding]:
    """The statement names these files, with these digests, and these facts."""
    try:
        document = json.loads((folder / PROVENANCE).read_bytes())
        subjects = {entry["name"]: entry["digest"]["sha256"] for entry in document["subject"]}
        stated = document["predicate"]["buildDefinition"]["internalParameters"]["version"]
        is_ours = document["_type"] == STATEMENT and document["predicateType"] == PREDICATE
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [Finding("provenance", PROVENANCE, f"is no statement of provenance ({type(error).__name__})")]
    listed = {name: entry["sha256"] for name, entry in files.items() if name not in _BESIDE}
    different = sorted(name for name in subjects.keys() | listed.keys() if subjects.get(name) != listed.get(name))
    found = [Finding("provenance", name, "is another file in the provenance; publish again") for name in different]
    if not is_ours or stated != facts:
        found.append(Finding("provenance", MANIFEST, "states other facts than the provenance; fetch it again"))
    return found


def _signature(folder: Path, public_key: Path | None) -> list[Finding]:
    path = folder / SIGNATURE
    if public_key is None:
        return []
    key = signature.public_key_of(public_key)
    if not path.is_file():
        return [Finding("signature", SIGNATURE, "is not there: the version is unsigned")]
    try:
        payload = signature.check(path.read_bytes(), key)
    except signature.Untrusted as error:
        return [Finding("signature", SIGNATURE, str(error))]
    if payload != (folder / PROVENANCE).read_bytes():
        return [Finding("signature", SIGNATURE, f"signs another {PROVENANCE}")]
    return []
