"""How we get at a cluster's API server: as the pod's own account, or by a kubeconfig file."""

import base64
import binascii
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ACCOUNT_FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class AccessError(Exception):
    """There is no way to the API server; the text says what is missing and how to give it."""


@dataclass(frozen=True)
class Access:
    """Where the server is, whom we trust to be it, and who we are: a token, its file, or what `trust` presents."""

    url: str
    trust: ssl.SSLContext
    token: str | None = None
    token_file: Path | None = None  # read for each request: the kubelet replaces it before the token expires

    @classmethod
    def of(cls, kubeconfig: Path | None, environment: Mapping[str, str]) -> "Access":
        """By the file where there is one, else as the pod we run in. Raises AccessError."""
        return cls._of_file(kubeconfig) if kubeconfig is not None else cls.of_pod(environment)

    @classmethod
    def of_pod(cls, environment: Mapping[str, str], *, folder: Path = ACCOUNT_FOLDER) -> "Access":
        """The account of the pod we run in. Raises AccessError."""
        host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT", "443")
        token, certificate = folder / "token", folder / "ca.crt"
        if not host or not token.exists():
            raise AccessError(f"KUBECONFIG: not set, and {folder} is no pod's account; name a kubeconfig file")
        name = f"[{host}]" if ":" in host else host
        return cls(f"https://{name}:{port}", ssl.create_default_context(cafile=certificate), token_file=token)

    @classmethod
    def _of_file(cls, path: Path) -> "Access":
        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
            context = _named(document, "context", str(document["current-context"]))
            cluster, user = (_named(document, part, str(context[part])) for part in ("cluster", "user"))
            trust = _trust(cluster, user, folder=path.parent)
            file = path.parent / user["tokenFile"] if "tokenFile" in user else None
            return cls(str(cluster["server"]), trust, token=user.get("token"), token_file=file)
        except (OSError, yaml.YAMLError, ssl.SSLError, binascii.Error) as error:
            raise AccessError(f"KUBECONFIG {path}: {error}; name a readable kubeconfig file") from error
        except (KeyError, TypeError, AttributeError) as error:
            raise AccessError(f"KUBECONFIG {path}: {error} is missing; write it with `kubectl config`") from error

    def headers(self) -> dict[str, str]:
        """Of each request. Raises OSError while the token's file cannot be read."""
        token = self.token_file.read_text(encoding="ascii").strip() if self.token_file else self.token
        return {"Authorization": f"Bearer {token}"} if token else {}


def _named(document: Any, part: str, name: str) -> dict[str, Any]:
    """`clusters[name].cluster`, and the like."""
    found = [each[part] for each in document[f"{part}s"] if each["name"] == name]
    if not found:
        raise KeyError(f"{part} {name!r}")
    return dict(found[0])


def _trust(cluster: Mapping[str, Any], user: Mapping[str, Any], *, folder: Path) -> ssl.SSLContext:
    if cluster.get("insecure-skip-tls-verify"):
        raise KeyError("certificate-authority (insecure-skip-tls-verify is not served)")
    if not {"token", "tokenFile", "client-certificate", "client-certificate-data"} & user.keys():
        raise KeyError("a token or client certificate of the user (exec and auth-provider are not served)")
    context = ssl.create_default_context()
    if authority := _bytes(cluster, "certificate-authority", folder):
        context.load_verify_locations(cadata=authority.decode("ascii"))
    certificate, key = _bytes(user, "client-certificate", folder), _bytes(user, "client-key", folder)
    if certificate and key:
        with tempfile.NamedTemporaryFile() as file:  # the ssl module reads files alone; this one nobody else can
            file.write(certificate + b"\n" + key)
            file.flush()
            context.load_cert_chain(file.name)
    return context


def _bytes(entry: Mapping[str, Any], name: str, folder: Path) -> bytes | None:
    """The field as data, else the file that it names, else nothing."""
    if data := entry.get(f"{name}-data"):
        return base64.b64decode(data, validate=True)
    return (folder / entry[name]).read_bytes() if name in entry else None
