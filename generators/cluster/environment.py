"""What our services are told by their environment, under the names that app/settings.py reads."""

from typing import Any
from urllib.parse import urlsplit

from app.contract.internal import INGEST_PORT, METRICS_PORT, STATUS_PORT
from generators import hosts, naming
from generators.cluster import broker
from generators.foundation.directory import DIRECTORY_LABEL
from generators.foundation.storage import external_secret
from generators.inputs.platform import Platform
from generators.manifest import Body
from generators.naming import SYSTEM_NAMESPACE

STORE_CLIENTS = ("dispatcher", "ingest", "promoter", "watcher", "webhooks")
BUCKET_CLIENTS = ("ingest", "promoter")  # uploads; reports of the gate
API_CLIENTS = ("dispatcher", "ingest", "watcher")  # make and follow Workflows; review tokens of callers and steps
WEBHOOK_SIGNERS = ("ingest", "webhooks")  # ingest shows a tenant its secret, webhooks signs with it
LISTENING = {
    "ingest": ("TENON_PORT", INGEST_PORT),
    "portal": ("TENON_PORT", INGEST_PORT),
    "router": ("TENON_PORT", INGEST_PORT),
    "watcher": ("TENON_STATUS_PORT", STATUS_PORT),
}
DIRECTORY_URL = f"configmaps://{SYSTEM_NAMESPACE}?label={DIRECTORY_LABEL}"

URL, ACCESS_KEY, SECRET_KEY = "url", "accessKey", "secretKey"
GIT_CREDENTIALS = "credentials"  # in the form of Git's own `store` helper: one URL with user and token
GIT_SECRET, GIT_FOLDER = "git", "/var/run/secrets/git"
WEBHOOK_SECRET, WEBHOOK_FOLDER, WEBHOOK_KEY = "webhook-key", "/var/run/secrets/webhooks", "key"
ANY_ADDRESS = "0.0.0.0"  # noqa: S104 - pods have IPv4 alone (profile.py); the tree's policies say who reaches them

Variable = dict[str, Any]


def environment(service: str, platform: Platform) -> list[Variable]:
    """Variables of one service: what it may reach and nothing more."""
    return [
        _value("HOME", "/tmp"),  # noqa: S108 - inside the container
        _value("TENON_DIRECTORY_URL", DIRECTORY_URL),
        _value("TENON_LISTEN", ANY_ADDRESS),
        *_listening(service),
        _value("TENON_METRICS_PORT", str(METRICS_PORT)),
        *_store(service),
        *_broker(service, platform),
        *([_value("TENON_WORKFLOWS", "kubernetes")] if service in API_CLIENTS else []),
        *(_buckets(service, platform) if service in BUCKET_CLIENTS else []),
        *([_value("TENON_WEBHOOK_KEY_FILE", f"{WEBHOOK_FOLDER}/{WEBHOOK_KEY}")] if service in WEBHOOK_SIGNERS else []),
        *(_git(platform) if service == "promoter" else []),
    ]


def secrets(platform: Platform) -> list[Body]:
    """References to what the variables and volumes name: one Secret for each service and purpose."""
    made = [_secret(store_secret(name), f"platform/store/{name}", URL) for name in STORE_CLIENTS]
    made.append(_secret(WEBHOOK_SECRET, "platform/webhooks", WEBHOOK_KEY))
    if platform.storage.mode == "inCluster":
        made += [
            _secret(bucket_secret(name), f"platform/buckets/{name}", ACCESS_KEY, SECRET_KEY) for name in BUCKET_CLIENTS
        ]
    if reads_git_over_https(platform):
        made.append(_secret(GIT_SECRET, "platform/git", GIT_CREDENTIALS))
    return made


def store_secret(service: str) -> str:
    """Each service has a database role of its own."""
    return f"store-{service}"


def bucket_secret(service: str) -> str:
    return f"buckets-{service}"


def reads_git_over_https(platform: Platform) -> bool:
    return urlsplit(platform.repository).scheme == "https"


def _listening(service: str) -> list[Variable]:
    if service not in LISTENING:
        return []
    name, port = LISTENING[service]
    return [_value(name, str(port))]


def _store(service: str) -> list[Variable]:
    return [_from_secret("TENON_STORE_URL", store_secret(service), URL)] if service in STORE_CLIENTS else []


def _broker(service: str, platform: Platform) -> list[Variable]:
    """The kubelet puts the password into the URL; it must be of letters and digits."""
    if service not in broker.CLIENTS:
        return []
    return [
        _from_secret("BROKER_PASSWORD", broker.password_secret(service), broker.PASSWORD),
        _value("TENON_BROKER_URL", f"kafka://{service}:$(BROKER_PASSWORD)@{broker.bootstrap(platform)}"),
    ]


def _buckets(service: str, platform: Platform) -> list[Variable]:
    """On AWS the account's role; in the cluster one host for each bucket, and keys that every gateway knows."""
    storage = platform.storage
    if storage.mode == "s3":
        return [_value("AWS_REGION", str(storage.region))]
    return [
        _value("TENON_S3_URL", hosts.endpoint(hosts.bucket_host("{bucket}", platform))),
        _from_secret("AWS_ACCESS_KEY_ID", bucket_secret(service), ACCESS_KEY),
        _from_secret("AWS_SECRET_ACCESS_KEY", bucket_secret(service), SECRET_KEY),
    ]


def _git(platform: Platform) -> list[Variable]:
    """Git reads settings from these names; the token stands in a file and in no command."""
    if not reads_git_over_https(platform):
        return []
    helper = f"store --file={GIT_FOLDER}/{GIT_CREDENTIALS}"
    settings = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "credential.helper", "GIT_CONFIG_VALUE_0": helper}
    return [_value(name, value) for name, value in settings.items()]


def _secret(name: str, path: str, *keys: str) -> Body:
    return external_secret(name, path, keys=keys, labels=dict(naming.MANAGED_BY))


def _value(name: str, value: str) -> Variable:
    return {"name": name, "value": value}


def _from_secret(name: str, secret: str, key: str) -> Variable:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
