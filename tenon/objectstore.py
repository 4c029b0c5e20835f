"""The local object store: SeaweedFS from its wheel, one identity per tenant, each bound to its own bucket."""

import json
import secrets
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tenon.home import Home, write_secret
from tenon.output import CommandError, ExitCode
from tenon.processes import Child, bare_environment

PLATFORM, INGEST, PROMOTER = "_platform", "_ingest", "_promoter"  # no tenant id begins with an underscore


@dataclass(frozen=True)
class Credential:
    """An S3 key pair."""

    access_key: str
    secret_key: str

    def environment(self) -> dict[str, str]:
        return {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}


def rights(buckets: Mapping[str, str], models_bucket: str) -> dict[str, list[str]]:
    """Identity -> SeaweedFS actions: a tenant reads and writes its own bucket and reads the base models, no more."""
    granted = {
        tenant: [*_on(bucket, "Read", "Write", "List"), *_on(models_bucket, "Read", "List")]
        for tenant, bucket in buckets.items()
    }
    every = list(buckets.values())
    granted[PLATFORM] = ["Admin", "Read", "Write", "List"]
    granted[INGEST] = [right for bucket in every for right in _on(bucket, "Read", "Write", "List")]
    granted[PROMOTER] = [right for bucket in every for right in _on(bucket, "Read", "List")]
    return granted


def _on(bucket: str, *actions: str) -> list[str]:
    return [f"{action}:{bucket}" for action in actions]


def credentials(home: Home, identities: Iterable[str]) -> dict[str, Credential]:
    """The key pair of each identity, drawn once and kept below `home`, readable by the owner alone."""
    folder = home.folder / "credentials"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept = {}
    for name in identities:
        path = folder / f"{name}.json"
        if not path.exists():
            write_secret(path, {"accessKey": secrets.token_hex(10), "secretKey": secrets.token_hex(20)})
        data = json.loads(path.read_text())
        kept[name] = Credential(data["accessKey"], data["secretKey"])
    return kept


def store_child(home: Home, *, ports: Mapping[str, int], granted: Mapping[str, list[str]]) -> Child:
    """The process that serves S3 on 127.0.0.1:ports["s3"]; its state is below `home`."""
    folder = home.folder / "s3"
    folder.mkdir(parents=True, exist_ok=True)
    keys = credentials(home, granted)
    identities = [
        {
            "name": name,
            "credentials": [{"accessKey": keys[name].access_key, "secretKey": keys[name].secret_key}],
            "actions": actions,
        }
        for name, actions in granted.items()
    ]
    config = folder / "identities.json"
    write_secret(config, {"identities": identities})
    command = [
        str(_program()),
        "-logtostderr",
        "mini",
        "-dir",
        str(folder),
        "-ip",
        "127.0.0.1",
        "-ip.bind",
        "127.0.0.1",
    ]
    command += [f"-{name}.port={ports[name]}" for name in ("s3", "master", "volume", "filer", "admin")]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={config}"]
    command += ["-admin.ui=false", "-webdav=false", "-master.telemetry=false"]
    # it may hang on its own sockets when it stops; what it acknowledged survives a kill
    environment = {**bare_environment(), "GOMEMLIMIT": "256MiB"}  # a hint to its collector, on a machine that trains
    return Child("s3", command, environment, home.log("s3"), stop_seconds=5.0)


def _program() -> Path:
    beside = Path(sys.executable).parent / "weed"
    found = beside if beside.exists() else Path(shutil.which("weed") or "")
    if not found.is_file():
        text = "weed: the object store is not installed; `make install`, or give another with TENON_S3_URL"
        raise CommandError(text, ExitCode.UNAVAILABLE)
    return found


def make_buckets(endpoint: str, buckets: list[str]) -> None:
    """Create each bucket that is not there, as the identity of the environment.

    Raises CommandError (exit 3) when the store does not answer.
    """
    from app.buckets import Buckets, BucketUnavailable

    try:
        Buckets(endpoint).ensure(buckets)
    except BucketUnavailable as error:
        raise CommandError(f"object store: {error}", ExitCode.UNAVAILABLE) from None


def promoter_access(home: Home) -> Credential:
    """Read access to every tenant's bucket, for promotion."""
    return credentials(home, [PROMOTER])[PROMOTER]
