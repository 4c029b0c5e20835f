"""Signature of a version: a DSSE envelope around its provenance, by a key file or by a command (a KMS).

Source of the form: secure-systems-lab/dsse, protocol.md. The only module that imports cryptography.
"""

import base64
import binascii
import hashlib
import json
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer.outcomes import BadInput, Unavailable
from trainer.settings import Origin

PAYLOAD_TYPE = "application/vnd.in-toto+json"
_COMMAND_SECONDS = 60


class Untrusted(Exception):  # noqa: N818 - the state of a signature
    """The signature is not what the public key makes of the payload; the text says why."""


def envelope(payload: bytes, origin: Origin) -> dict[str, Any] | None:
    """The signed payload; None when nobody signs. Raises BadInput for a key that cannot sign, Unavailable."""
    message = authenticated(payload)
    if origin.signing_key is not None:
        key_id, signed = _by_key(message, origin.signing_key)
    elif origin.signing_command is not None:
        key_id, signed = "", _by_command(message, origin.signing_command)
    else:
        return None
    signature = {"keyid": key_id, "sig": base64.b64encode(signed).decode()}
    return {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [signature],
    }


def authenticated(payload: bytes) -> bytes:
    """What is signed: type and payload, each with its length, so that neither can be taken for the other."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def check(signed: bytes, public_key: Any) -> bytes:
    """The payload of an envelope that this key signed. Raises Untrusted."""
    try:
        document: Mapping[str, Any] = json.loads(signed)
        payload = base64.b64decode(document["payload"], validate=True)
        found = [base64.b64decode(entry["sig"], validate=True) for entry in document["signatures"]]
        is_ours = document["payloadType"] == PAYLOAD_TYPE
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise Untrusted(f"is no DSSE envelope ({type(error).__name__})") from error
    if not is_ours or not any(_is_signed(public_key, authenticated(payload), signature) for signature in found):
        raise Untrusted("is not by the given key")
    return payload


def public_key_of(path: Path) -> Any:
    """The key in a PEM file. Raises BadInput when it is none that signs here."""
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BadInput(f"public key {path}: cannot be read ({error}); give the PEM of a public key") from error
    if not isinstance(key, Ed25519PublicKey | EllipticCurvePublicKey):
        raise BadInput(f"public key {path}: is neither Ed25519 nor ECDSA P-256; give the signer's")
    return key


def key_id(public_key: Any) -> str:
    """sha256 of a public key in its standard form (SubjectPublicKeyInfo, DER)."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def id_of(private_key: Path) -> str:
    """key_id of a key file's public half. Raises BadInput for a key that cannot sign."""
    return key_id(_private_key(private_key).public_key())


def _by_key(message: bytes, path: Path) -> tuple[str, bytes]:
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.hashes import SHA256

    key = _private_key(path)
    signed = key.sign(message, ECDSA(SHA256())) if isinstance(key, EllipticCurvePrivateKey) else key.sign(message)
    return key_id(key.public_key()), signed


def _private_key(path: Path) -> Any:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise BadInput(f"signing key {path}: cannot be read ({error}); give a PEM without a password") from error
    if isinstance(key, Ed25519PrivateKey) or (
        isinstance(key, EllipticCurvePrivateKey) and key.curve.name == "secp256r1"
    ):
        return key
    raise BadInput(f"signing key {path}: is neither Ed25519 nor ECDSA P-256; make one of these")


def _by_command(message: bytes, command: str) -> bytes:
    try:
        words = shlex.split(command)
        done = subprocess.run(words, input=message, capture_output=True, check=False, timeout=_COMMAND_SECONDS)  # noqa: S603 - set by the operator, no shell
    except (ValueError, IndexError) as error:
        raise BadInput(f"signing command {command!r}: is no command ({error}); mend the quotes") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(
            f"signing command {command!r}: {error}; is the program there, does the KMS answer?"
        ) from error
    if done.returncode != 0 or not done.stdout:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        reason = said[-1] if said else "no word"
        raise Unavailable(f"signing command {command!r}: ended with {done.returncode} ({reason}); look at the KMS")
    return done.stdout


def _is_signed(key: Any, message: bytes, signature: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        if isinstance(key, EllipticCurvePublicKey):
            key.verify(signature, message, ECDSA(SHA256()))
        else:
            key.verify(signature, message)
    except InvalidSignature:
        return False
    return True
