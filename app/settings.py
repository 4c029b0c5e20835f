"""Settings of the services: the environment, read once and frozen. Flags of `tenon up` set the same names."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class SettingsError(Exception):
    """A variable is missing or has a value that no adapter knows; the text names it and the remedy."""


@dataclass(frozen=True)
class Settings:
    """One field per variable `TENON_<NAME>`."""

    directory_url: str  # file:///folder of the tenant directory, or configmaps://<namespace>?label=<label>
    store_url: str | None = None  # sqlite:////absolute/path or postgresql+psycopg://; absent: ingest serves POST alone
    s3_url: str | None = None  # endpoint of the object store, with `{bucket}` where each has its own; absent: AWS's
    broker_url: str = (
        "sql"  # `sql`: durable queue in the store; kafka://user:password@host:port, https+kafkarest://host
    )
    workflows: str = "local"  # `local` or `kubernetes`
    kubeconfig: Path | None = None  # KUBECONFIG; absent: the account of the pod we run in
    home: Path | None = None  # folder of LocalWorkflows: attempts, credentials, traces
    listen: str = "127.0.0.1"  # address of our servers; a pod's is 0.0.0.0 or ::
    port: int = 8080
    status_port: int = 8081
    metrics_port: int | None = None  # absent: no metrics are served
    trace_file: Path | None = None  # spans as JSON Lines; absent: not exported
    local_slots: int = 1  # local workflows that run at once
    webhook_key_file: Path | None = None  # from which the secrets of all webhooks are derived; absent: none are sent
    cors_origins: tuple[str, ...] = ()  # TENON_CORS_ORIGINS, by comma: pages that may call the API from a browser

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Raises SettingsError, naming every missing variable at once, or the first that is no number."""
        if "TENON_DIRECTORY_URL" not in environment:
            raise SettingsError("TENON_DIRECTORY_URL: not set; `tenon up` sets it, a Deployment names it in env")

        def path(name: str) -> Path | None:
            return Path(environment[name]) if environment.get(name) else None

        def number(name: str, default: int) -> int:
            text = environment.get(name, str(default))
            if not text.isdecimal() or int(text) == 0:
                raise SettingsError(f"{name}: {text!r} is no whole number above 0; write one, or leave it out")
            return int(text)

        return cls(
            directory_url=environment["TENON_DIRECTORY_URL"],
            store_url=environment.get("TENON_STORE_URL") or None,
            s3_url=environment.get("TENON_S3_URL"),
            broker_url=environment.get("TENON_BROKER_URL", "sql"),
            workflows=environment.get("TENON_WORKFLOWS", "local"),
            kubeconfig=path("KUBECONFIG"),
            home=path("TENON_HOME"),
            listen=environment.get("TENON_LISTEN", "127.0.0.1"),
            port=number("TENON_PORT", 8080),
            status_port=number("TENON_STATUS_PORT", 8081),
            metrics_port=number("TENON_METRICS_PORT", 0) if "TENON_METRICS_PORT" in environment else None,
            trace_file=path("TENON_TRACE_FILE"),
            local_slots=number("TENON_LOCAL_SLOTS", 1),
            webhook_key_file=path("TENON_WEBHOOK_KEY_FILE"),
            cors_origins=tuple(filter(None, environment.get("TENON_CORS_ORIGINS", "").split(","))),
        )

    @property
    def needed_store_url(self) -> str:
        """Raises SettingsError."""
        if self.store_url is None:
            raise SettingsError("TENON_STORE_URL: not set; only ingest works without a store, and serves POST alone")
        return self.store_url
