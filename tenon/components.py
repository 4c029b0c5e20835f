"""Which broker, store and workflows `tenon up` runs over: flags, else variables of these names, else embedded ones."""

import argparse
import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

from tenon.home import Home
from tenon.output import CommandError, ExitCode
from tenon.store import with_driver

STORES = ("sqlite", "postgresql", "postgresql+psycopg")
CONNECT_SECONDS = 5.0


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--store-url", default=os.environ.get("TENON_STORE_URL"), help="sqlite: or postgresql: (default: below --home)"
    )
    parser.add_argument(
        "--broker-url",
        default=os.environ.get("TENON_BROKER_URL", "sql"),
        help="kafka://user:password@host:port (default: sql, a queue in the store)",
    )
    parser.add_argument("--s3-url", default=os.environ.get("TENON_S3_URL"), help="default: SeaweedFS below --home")
    parser.add_argument(
        "--workflows",
        default=os.environ.get("TENON_WORKFLOWS", "local"),
        help="local, or kubernetes: those of KUBECONFIG (default: local)",
    )


def refuse_what_is_not_offered(options: argparse.Namespace) -> None:
    """Raises CommandError; the text repeats no password."""
    scheme = _scheme(options.broker_url)
    if options.broker_url != "sql" and scheme != "kafka":
        only = " (it takes jobs and gives none out)" if scheme.endswith("kafkarest") else ""
        raise CommandError(
            f"--broker-url {scheme!r}: is not offered{only}; give sql, or kafka://user:password@host:port"
        )
    if scheme == "kafka" and not _places(options.broker_url):
        raise CommandError("--broker-url: names no host and port; give kafka://user:password@host:port")
    if options.workflows not in {"local", "kubernetes"}:
        raise CommandError(f"--workflows {options.workflows!r}: is not offered; give local or kubernetes")
    if options.workflows == "kubernetes" and not Path(os.environ.get("KUBECONFIG", "")).is_file():
        raise CommandError("--workflows kubernetes: KUBECONFIG names no file; set it to the cluster's access file")
    if options.store_url is not None and _scheme(options.store_url) not in STORES:
        raise CommandError(f"--store-url {_scheme(options.store_url)!r}: is not offered; give sqlite: or postgresql:")
    if options.s3_url is not None and not options.s3_url.startswith(("http://", "https://")):
        raise CommandError(f"--s3-url {options.s3_url!r}: is no http:// or https:// address")


def services(options: argparse.Namespace) -> tuple[str, ...]:
    """Names of the processes, in the order they start in. Workflows of a cluster have their controller there."""
    controller = ("workflows",) if options.workflows == "local" else ()
    return ("ingest", "watcher", "dispatcher", *controller, "webhooks")


def environment(options: argparse.Namespace, home: Home) -> dict[str, str]:
    """What every service is told of them."""
    made = {
        "TENON_STORE_URL": store_url(options, home),
        "TENON_BROKER_URL": options.broker_url,
        "TENON_WORKFLOWS": options.workflows,
    }
    if options.workflows == "kubernetes":
        made["KUBECONFIG"] = str(Path(os.environ["KUBECONFIG"]).resolve())
    return made


def store_url(options: argparse.Namespace, home: Home) -> str:
    return with_driver(options.store_url) if options.store_url else home.store_url


def expect_a_broker(options: argparse.Namespace) -> None:
    """One that answers, and has the topics. Services wait for one that comes back; at the start they need not.

    Raises CommandError (exit 2 or 3).
    """
    places = _places(options.broker_url) if _scheme(options.broker_url) == "kafka" else []
    if places and not any(_answers(*place) for place in places):
        shown = ", ".join(f"{host}:{port}" for host, port in places)
        text = f"broker {shown}: nothing answers there; start it, or correct --broker-url"
        raise CommandError(text, ExitCode.UNAVAILABLE)
    if places:
        _make_topics(options.broker_url)


def _make_topics(url: str) -> None:
    from app.broker.kafka.administration import ensure_topics
    from app.broker.queue import BrokerUnavailable
    from app.settings import SettingsError

    try:
        ensure_topics(url)
    except BrokerUnavailable as error:
        raise CommandError(str(error), ExitCode.UNAVAILABLE) from None
    except SettingsError as error:
        raise CommandError(str(error)) from None


def _scheme(url: str) -> str:
    return url.partition(":")[0]


def _places(url: str) -> list[tuple[str, int]]:
    """Host and port of each broker of a kafka:// URL; none where one of them is no such pair."""
    hosts = urlsplit(url).netloc.rpartition("@")[2].split(",")
    pairs = [host.rpartition(":") for host in hosts]
    if not all(name and port.isdecimal() for name, _, port in pairs):
        return []
    return [(name.strip("[]"), int(port)) for name, _, port in pairs]


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=CONNECT_SECONDS):
            return True
    except OSError:
        return False
