"""`kafka://user:password@host:port,host:port?tls=true&ca=/file&groupProtocol=classic` -> what librdkafka is told.

With a user: SCRAM-SHA-512. `tls`: over TLS, trusting `ca` where it is given. `groupProtocol`: `consumer` (KIP-848,
default) or `classic` for brokers before 4.0.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from app.settings import SettingsError

DEFAULT_PORT = 9092
_QUERY = {"tls", "ca", "groupProtocol"}

Configuration = dict[str, Any]


@dataclass(frozen=True)
class Address:
    """A cluster, and who we are there. The password is in no text of ours."""

    client: Configuration  # of producers and consumers alike
    group_protocol: str
    shown: str


def parse(url: str) -> Address:
    """Raises SettingsError."""
    parts = urlsplit(url)
    account, _, hosts = parts.netloc.rpartition("@")
    servers = [_server(host) for host in hosts.split(",") if host]
    query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    protocol = query.get("groupProtocol", "consumer")
    if not servers or parts.path.strip("/") or query.keys() - _QUERY or protocol not in {"consumer", "classic"}:
        text = "give kafka://user:password@host:port[,host:port]?tls=true&ca=/file&groupProtocol=classic"
        raise SettingsError(f"TENON_BROKER_URL: this kafka:// address is not understood; {text}")
    client: Configuration = {
        "bootstrap.servers": ",".join(servers),
        "client.id": "tenon",
        "reconnect.backoff.max.ms": 1000,
        "socket.keepalive.enable": True,
        "log_level": 0,  # what matters comes to error_cb
    }
    encrypted = query.get("tls", "false") == "true"
    if account:
        user, _, password = account.partition(":")
        client |= {
            "security.protocol": "SASL_SSL" if encrypted else "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": unquote(user),
            "sasl.password": unquote(password),
        }
    elif encrypted:
        client["security.protocol"] = "SSL"
    if "ca" in query:
        client["ssl.ca.location"] = query["ca"]
    return Address(client, protocol, f"kafka://{','.join(servers)}")


def _server(host: str) -> str:
    name, separator, port = host.rpartition(":")
    has_port = bool(separator) and port.isdigit() and not host.endswith("]")
    if not has_port and separator and not host.startswith("["):
        raise SettingsError(f"TENON_BROKER_URL: {host!r} is no host:port of a Kafka broker")
    return host if has_port and name else f"{host}:{DEFAULT_PORT}"
