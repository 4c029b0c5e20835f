"""Receivers of webhooks: real TLS servers on loopback, reached by the sender's own code under public-looking names."""

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpcore
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.addresses import Address
from app.delivery.dialling import VettedNetwork, dial

PUBLIC_ADDRESS = ip_address("93.184.215.14")
HOSTS = ("hooks.acme.example", "hooks.globex.example")


@dataclass(frozen=True)
class Received:
    """One request."""

    path: str
    headers: dict[str, str]  # names in lower case
    body: str


@dataclass
class Receiver:
    """Answers with `answer(request)`: a status and headers; `hold` delays all answers until it is set."""

    answer: Callable[[Received], tuple[int, Mapping[str, str]]] = lambda _received: (200, {})
    received: list[Received] = field(default_factory=list)
    hold: threading.Event | None = None
    raw: bytes | None = None  # sent in the place of an answer
    port: int = 0

    def handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                request = Received(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                receiver.received.append(request)
                if receiver.hold is not None:
                    receiver.hold.wait(20)
                if receiver.raw is not None:
                    self.wfile.write(receiver.raw)
                    return
                status, headers = receiver.answer(request)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(b"secret of the inside")

            def handle(self) -> None:
                try:
                    super().handle()
                except OSError:  # the sender had seen enough, or did not trust us
                    self.close_connection = True

            def finish(self) -> None:
                try:
                    super().finish()
                except OSError:
                    self.close_connection = True

            def log_message(self, *arguments: Any) -> None: ...

        return Handler


@contextmanager
def receiving(receiver: Receiver, certificate: Path) -> Iterator[Receiver]:
    """The receiver on a free port, with a certificate and its key from one file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with ThreadingHTTPServer(("127.0.0.1", 0), receiver.handler()) as server:
        server.daemon_threads = True
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        receiver.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()


def certify(folder: Path, names: Sequence[str] = HOSTS) -> Path:
    """A certificate for the names that signs itself, with its key, in one file."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "receivers of the tests")])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path = folder / "receiver.pem"
    written = key.private_bytes(serialization.Encoding.PEM, pkcs8, plain)
    path.write_bytes(written + made.public_bytes(serialization.Encoding.PEM))
    return path


def trust(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


@dataclass
class Internet:
    """Names and their addresses; every vetted public address is the one receiver on loopback."""

    port: int
    names: dict[str, Sequence[Sequence[Address]]] = field(default_factory=dict)  # answers in turn, the last for good
    asked: list[str] = field(default_factory=list)
    dialled: list[Address] = field(default_factory=list)

    def network(self) -> VettedNetwork:
        return VettedNetwork(resolve=self.resolve, dial=self.dial, opened=list)

    async def resolve(self, host: str) -> Sequence[Address]:
        turns = self.names.get(host, [[PUBLIC_ADDRESS]])
        turn = min(self.asked.count(host), len(turns) - 1)
        self.asked.append(host)
        return turns[turn]

    async def dial(self, address: Address, port: int) -> httpcore.AsyncNetworkStream:
        assert port == 443
        self.dialled.append(address)
        return await dial(ip_address("127.0.0.1"), self.port)
