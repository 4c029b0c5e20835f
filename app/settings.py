"""Settings of the services: the environment, read once and frozen. Flags of `tenon up` set the same names."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class SettingsError(Exception):
    """A variable is missing or has a value that no adapter knows; the text names it and the remedy."""


@dataclass(frozen=True)
class Settings:
    """One field per variable `TENON_<NAME>`."""

    store_url: str  # sqlite:////absolute/path, later postgresql+psycopg://
    directory_url: str  # file:///folder of the tenant directory
    s3_url: str | None = None  # endpoint of the object store; AWS's own when absent
    broker_url: str = "sql"  # `sql`: durable queue in the store
    workflows: str = "local"  # `local` or `kubernetes`
    home: Path | None = None  # folder of LocalWorkflows: attempts, credentials, traces
    port: int = 8080
    status_port: int = 8081
    trace_file: Path | None = None  # spans as JSON Lines; absent: not exported
    local_slots: int = 1  # local workflows that run at once

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Raises SettingsError, naming every missing variable at once, or the first that is no number."""
        missing = [f"TENON_{name}" for name in ("STORE_URL", "DIRECTORY_URL") if f"TENON_{name}" not in environment]
        if missing:
            raise SettingsError(f"{', '.join(missing)}: not set; `tenon up` sets them, a Deployment names them in env")

        def path(name: str) -> Path | None:
            return Path(environment[name]) if name in environment else None

        def number(name: str, default: int) -> int:
            text = environment.get(name, str(default))
            if not text.isdecimal() or int(text) == 0:
                raise SettingsError(f"{name}: {text!r} is no whole number above 0; write one, or leave it out")
            return int(text)

        return cls(
            store_url=environment["TENON_STORE_URL"],
            directory_url=environment["TENON_DIRECTORY_URL"],
            s3_url=environment.get("TENON_S3_URL"),
            broker_url=environment.get("TENON_BROKER_URL", "sql"),
            workflows=environment.get("TENON_WORKFLOWS", "local"),
            home=path("TENON_HOME"),
            port=number("TENON_PORT", 8080),
            status_port=number("TENON_STATUS_PORT", 8081),
            trace_file=path("TENON_TRACE_FILE"),
            local_slots=number("TENON_LOCAL_SLOTS", 1),
        )
