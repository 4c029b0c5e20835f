"""One POST to a host that a tenant chose: what is dialled, what is believed, and that it ends."""

import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from ipaddress import ip_address
from pathlib import Path

import anyio
import httpcore
import pytest

from app.addresses import Address
from app.delivery.dialling import VettedNetwork, dial
from app.delivery.posting import Answer, Post, Unanswered
from app.tests.receivers import PUBLIC_ADDRESS, Internet, Receiver, certify, receiving, trust
from app.tests.test_addresses import ADDRESSES, NAMES

URL = "https://hooks.acme.example/jobs?team=1"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certify(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def receiver(certificate: Path) -> Iterator[Receiver]:
    with receiving(Receiver(), certificate) as made:
        yield made


@pytest.fixture
def internet(receiver: Receiver) -> Internet:
    return Internet(receiver.port)


Send = Callable[..., Answer]


@pytest.fixture
def send(internet: Internet, certificate: Path) -> Send:
    """POST through the real vetting, client and TLS."""

    def send(url: str = URL, *, network: VettedNetwork | None = None, seconds: float = 10.0) -> Answer:
        post = Post(network or internet.network(), trust=trust(certificate), seconds=seconds)
        return anyio.run(partial(post, url, headers={"X-Mark": "1"}, body='{"a":1}'))

    return send


@pytest.mark.requirement("A16")
def test_a_public_receiver_is_reached_by_its_vetted_address_and_its_own_name(
    send: Send, internet: Internet, receiver: Receiver
) -> None:
    assert send() == Answer(200, None)
    assert internet.dialled == [PUBLIC_ADDRESS]
    [received] = receiver.received
    assert (received.path, received.body) == ("/jobs?team=1", '{"a":1}')
    assert received.headers["host"] == "hooks.acme.example"
    assert received.headers["x-mark"] == "1"


@pytest.mark.requirement("A16")
def test_nothing_of_the_corpus_is_dialled(internet: Internet) -> None:
    for number, (text, _rule) in enumerate(ADDRESSES):
        internet.names[f"host{number}.example"] = [[PUBLIC_ADDRESS, ip_address(text)]]
    told = refusals(internet, [f"https://host{number}.example/" for number in range(len(ADDRESSES))])
    assert told == [f"address refused: {rule}" for _text, rule in ADDRESSES]
    assert internet.dialled == []


def test_no_name_of_the_corpus_is_looked_up(internet: Internet) -> None:
    told = refusals(internet, [f"https://{name}/" for name, _rule in NAMES])
    assert all(text.startswith("address refused: ") for text in told)
    assert (internet.asked, internet.dialled) == ([], [])


def refusals(internet: Internet, urls: Sequence[str]) -> list[str]:
    """Why each URL was not posted to."""
    post, told = Post(internet.network(), trust=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)), []

    async def ask() -> None:
        for url in urls:
            with pytest.raises(Unanswered) as refused:
                await post(url, headers={}, body="")
            told.append(str(refused.value))

    anyio.run(ask)
    return told


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.acme.example/",
        "https://hooks.acme.example:8443/",
        "https://user:word@hooks.acme.example/",
        "https://hooks.acme.example@127.0.0.1/",
        "ftp://hooks.acme.example/",
        "https:///jobs",
        "//hooks.acme.example/",
    ],
)
def test_only_plain_https_urls_on_port_443_are_posted_to(send: Send, internet: Internet, url: str) -> None:
    with pytest.raises(Unanswered, match="address refused: no plain https URL"):
        send(url)
    assert internet.asked == []


def test_a_name_that_changes_its_address_is_looked_at_each_time(send: Send, internet: Internet) -> None:
    internet.names["hooks.acme.example"] = [[PUBLIC_ADDRESS], [ip_address("169.254.169.254")]]
    assert send().status == 200
    with pytest.raises(Unanswered, match="metadata service"):
        send()
    assert internet.dialled == [PUBLIC_ADDRESS]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(send: Send, internet: Internet, receiver: Receiver, status: int) -> None:
    receiver.answer = lambda _received: (status, {"Location": "https://169.254.169.254/latest/meta-data/"})
    assert send().status == status
    assert internet.asked == ["hooks.acme.example"]
    assert len(receiver.received) == 1


def test_no_proxy_of_the_environment_is_used(send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert send().status == 200


def test_a_certificate_for_another_name_is_not_believed(send: Send) -> None:
    with pytest.raises(Unanswered, match="certificate is not valid"):
        send("https://hooks.initech.example/")


def test_a_name_without_addresses_is_no_answer(send: Send, internet: Internet) -> None:
    internet.names["hooks.acme.example"] = [[]]
    with pytest.raises(Unanswered, match="no address"):
        send()


def test_the_next_address_is_tried_when_one_does_not_answer(send: Send, internet: Internet, receiver: Receiver) -> None:
    tried: list[Address] = []

    async def first_is_dead(address: Address, port: int) -> httpcore.AsyncNetworkStream:
        tried.append(address)
        if len(tried) == 1:
            raise OSError("no route")
        return await internet.dial(address, port)

    internet.names["hooks.acme.example"] = [[ip_address("2606:4700::1111"), PUBLIC_ADDRESS]]
    network = VettedNetwork(resolve=internet.resolve, dial=first_is_dead, opened=list)
    assert send(network=network).status == 200
    assert tried == [ip_address("2606:4700::1111"), PUBLIC_ADDRESS]


def test_a_slow_resolver_is_bounded(send: Send) -> None:
    async def never(_host: str) -> Sequence[Address]:
        await anyio.sleep_forever()
        return []

    with pytest.raises(Unanswered, match="no answer within"):
        send(network=VettedNetwork(resolve=never, dial=dial, opened=list), seconds=0.05)


def test_a_receiver_that_never_answers_is_bounded(send: Send, receiver: Receiver) -> None:
    receiver.hold = threading.Event()
    with pytest.raises(Unanswered, match="no answer within"):
        send(seconds=0.3)
    receiver.hold.set()


@pytest.mark.parametrize(
    "raw",
    [
        b"secret of the inside\r\n\r\n",
        b"HTTP/1.1 secret-of-the-inside\r\n\r\n",
        b"SSH-2.0-secret of the inside\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-Secret: inside\r\n" * 20_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"s" * 2_000_000,
        b"",
    ],
)
def test_what_is_no_answer_is_not_repeated(send: Send, receiver: Receiver, raw: bytes) -> None:
    receiver.raw = raw
    with pytest.raises(Unanswered) as failed:
        send()
    assert "ecret" not in str(failed.value)


def test_an_endless_body_is_not_read(send: Send, receiver: Receiver) -> None:
    receiver.raw = b"HTTP/1.1 200 OK\r\nContent-Length: 9000000000\r\n\r\n" + b"x" * 1_000_000
    assert send() == Answer(200, None)
