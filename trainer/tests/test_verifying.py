import json
import pickle
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainer.contract.bucket import ADAPTER, CARD, MANIFEST, PROVENANCE, SIGNATURE
from trainer.outcomes import BadInput, Unavailable
from trainer.publishing import signature
from trainer.publishing.checking import Verified, check
from trainer.publishing.manifest import Incomplete, seal
from trainer.settings import Origin
from trainer.tests.published import BASE_DIGEST, TRACEPARENT, version

KEYS: dict[str, Any] = {
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
}


def key_pair(folder: Path, kind: str = "ed25519") -> tuple[Path, Path]:
    """PEM files of a private key and its public one."""
    key = KEYS[kind]()
    private, public = folder / f"{kind}.pem", folder / f"{kind}.pub"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


def rules(found: Verified) -> set[str]:
    return {finding.rule for finding in found.findings}


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A signed version and the signer's public key."""
    folder = tmp_path_factory.mktemp("signed")
    private, public = key_pair(folder)
    return version(folder, origin=Origin(signing_key=private)), public


@pytest.fixture
def copy(signed: tuple[Path, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(signed[0], tmp_path / "copy"))


@pytest.mark.parametrize("kind", ["ed25519", "p256"])
def test_a_signed_version_holds_under_its_key_and_no_other(tmp_path: Path, kind: str) -> None:
    private, public = key_pair(tmp_path, kind)
    folder = version(tmp_path / "v", origin=Origin(signing_key=private))
    (tmp_path / "other").mkdir()
    _, other = key_pair(tmp_path / "other", kind)

    assert check(folder, public_key=public).findings == ()
    assert check(folder, public_key=public).is_checked
    assert rules(check(folder, public_key=other)) == {"signature"}


def test_an_unsigned_version_says_so_and_fails_where_a_key_is_asked_for(tmp_path: Path) -> None:
    _, public = key_pair(tmp_path)
    folder = version(tmp_path / "v", origin=Origin())

    assert check(folder, public_key=None).holds
    assert not check(folder, public_key=None).is_signed
    assert "this version is unsigned" in (folder / CARD).read_text()
    assert rules(check(folder, public_key=public)) == {"signature"}


def test_a_key_service_signs_by_a_command(tmp_path: Path) -> None:
    private, public = key_pair(tmp_path)
    program = tmp_path / "kms.py"
    program.write_text(
        "import sys\n"
        "from cryptography.hazmat.primitives.serialization import load_pem_private_key\n"
        f"key = load_pem_private_key(open({str(private)!r}, 'rb').read(), password=None)\n"
        "sys.stdout.buffer.write(key.sign(sys.stdin.buffer.read()))\n"
    )
    folder = version(tmp_path / "v", origin=Origin(signing_command=f"{sys.executable} {program}"))

    assert check(folder, public_key=public).holds


BAD_SIGNERS = {
    "no file": (Origin(signing_key=Path("nowhere.pem")), BadInput, "signing key nowhere.pem: cannot be read"),
    "no program": (Origin(signing_command="no-such-kms"), Unavailable, "is the program there"),
    "fails": (Origin(signing_command="false"), Unavailable, r"ended with 1 \(no word\); look at the KMS"),
    "says nothing": (Origin(signing_command="true"), Unavailable, "ended with 0"),
    "bad quotes": (Origin(signing_command="kms 'x"), BadInput, "mend the quotes"),
}


@pytest.mark.parametrize(("origin", "outcome", "text"), BAD_SIGNERS.values(), ids=BAD_SIGNERS)
def test_a_signer_that_cannot_sign_says_why(origin: Origin, outcome: type[Exception], text: str) -> None:
    with pytest.raises(outcome, match=text):
        signature.envelope(b"{}", origin)


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    private, public = key_pair(tmp_path, "rsa")
    with pytest.raises(BadInput, match="neither Ed25519 nor ECDSA P-256; make one"):
        signature.envelope(b"{}", Origin(signing_key=private))
    with pytest.raises(BadInput, match="neither Ed25519 nor ECDSA P-256; give the signer's"):
        signature.public_key_of(public)


@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_changed_byte_anywhere_is_found_without_a_key(copy: Path, data: st.DataObject) -> None:
    files = sorted(path for path in copy.rglob("*") if path.is_file())
    path = data.draw(st.sampled_from(files))
    before = path.read_bytes()
    where = data.draw(st.integers(0, len(before) - 1))
    changed = bytes([before[where] ^ data.draw(st.integers(1, 255))])
    try:
        path.write_bytes(before[:where] + changed + before[where + 1 :])
        assert not _holds(copy)
        path.write_bytes(before[:where])
        assert not _holds(copy)
    finally:
        path.write_bytes(before)
    assert _holds(copy)


def _holds(folder: Path) -> bool:
    try:
        return check(folder, public_key=None).holds
    except Incomplete:
        return False


def test_a_whole_other_version_is_found_with_the_key(signed: tuple[Path, Path], tmp_path: Path) -> None:
    other = version(tmp_path, origin=Origin())
    shutil.copyfile(signed[0] / SIGNATURE, other / SIGNATURE)
    document = json.loads((other / MANIFEST).read_text())
    del document["files"]
    document["tenant"] = "globex"
    seal(other, document)

    found = check(other, public_key=signed[1])
    assert rules(found) == {"signature", "provenance"}


def test_what_the_manifest_does_not_list_is_found(copy: Path) -> None:
    (copy / "notes.txt").write_text("hello")
    (copy / ADAPTER / "link").symlink_to("/etc/hostname")

    assert [finding.file for finding in check(copy, public_key=None).findings] == ["adapter/link", "notes.txt"]


def test_a_folder_that_a_link_leads_to_is_found(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/modeling.py").write_text("")
    (copy / ADAPTER / "code").symlink_to(tmp_path / "elsewhere")

    (found,) = check(copy, public_key=None).findings
    assert (found.rule, found.file, found.text) == (
        "listed",
        "adapter/code",
        "is a link, which may lead anywhere; remove it",
    )


@pytest.mark.parametrize("name", ["weights.bin", "model.PT", "modeling.py", "notes.txt", "archive.dat"])
def test_what_may_run_code_is_found_even_when_it_is_listed(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "v"
    folder.mkdir()
    (folder / name).write_bytes(b"PK\x03\x04zip" if name == "archive.dat" else pickle.dumps({"a": 1}))
    seal(folder)

    assert ("code", name) in {(found.rule, found.file) for found in check(folder, public_key=None).findings}


@pytest.mark.requirement("A35")
def test_the_statement_names_base_data_code_image_and_every_file(copy: Path) -> None:
    statement = json.loads((copy / PROVENANCE).read_text())
    manifest = json.loads((copy / MANIFEST).read_text())

    predicate = statement["predicate"]
    dependencies = {entry["name"]: entry for entry in predicate["buildDefinition"]["resolvedDependencies"]}
    assert {entry["name"] for entry in statement["subject"]} == set(manifest["files"]) - {PROVENANCE, SIGNATURE}
    assert dependencies["base"]["digest"] == {"sha256": BASE_DIGEST}
    assert dependencies["data"] == {"name": "data", "uri": "s3://acme/d.jsonl", "digest": {"sha256": "9" * 64}}
    assert dependencies["prepared"]["digest"] == {"sha256": "d" * 64}
    assert dependencies["base"]["annotations"] == {"licence": "apache-2.0"}
    assert predicate["buildDefinition"]["externalParameters"]["job"]["tenant"] == "acme"
    assert manifest["traceparent"] == TRACEPARENT
    assert TRACEPARENT in (copy / CARD).read_text()


def test_an_image_and_a_commit_are_stated_where_they_are_told(tmp_path: Path) -> None:
    statement = json.loads((version(tmp_path) / PROVENANCE).read_text())

    dependencies = {entry["name"]: entry for entry in statement["predicate"]["buildDefinition"]["resolvedDependencies"]}
    assert dependencies["code"]["digest"] == {"gitCommit": "e" * 40}
    assert dependencies["image"]["digest"] == {"sha256": "c" * 64}
    assert statement["predicate"]["runDetails"]["builder"]["id"].startswith("registry.example/trainer@")
