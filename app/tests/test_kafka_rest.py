"""Publishing over HTTPS: what is sent is what the bridge's published API takes, and no answer but an offset is yes."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.broker.by_url import publisher, subscriber
from app.broker.envelope import headers, received, value
from app.broker.queue import BrokerUnavailable
from app.broker.rest import CONTENT_TYPE, RestPublisher
from app.settings import SettingsError
from app.tests.local import envelope
from app.tests.serving import listening

STORED = {"offsets": [{"partition": 0, "offset": 7}]}


@dataclass
class Bridge:
    """A stub of the producer half of Strimzi's HTTP bridge."""

    answer: Response = field(default_factory=lambda: JSONResponse(STORED))
    bodies: list[dict[str, Any]] = field(default_factory=list)
    accounts: list[str | None] = field(default_factory=list)
    url: str = ""

    async def produce(self, request: Request) -> Response:
        if request.headers["content-type"] != CONTENT_TYPE:
            return Response(status_code=415)
        self.bodies.append(json.loads(await request.body()))
        self.accounts.append(request.headers.get("authorization"))
        return self.answer


@pytest.fixture(scope="module")
def running() -> Iterator[Bridge]:
    bridge = Bridge()
    with listening(Starlette(routes=[Route("/kafka/topics/finetuning-jobs", bridge.produce, methods=["POST"])])) as url:
        bridge.url = url.replace("http://", "http+kafkarest://ingest:p%2Fw@") + "/kafka"
        yield bridge


@pytest.fixture
def bridge(running: Bridge) -> Bridge:
    running.bodies.clear()
    running.answer = JSONResponse(STORED)
    return running


def publish(url: str) -> None:
    anyio.run(lambda: RestPublisher(url).publish(envelope("job"), traceparent="00-trace", tracestate="a=b"))


@pytest.mark.requirement("A8")
def test_a_record_carries_the_message_byte_by_byte(bridge: Bridge) -> None:
    publish(bridge.url)
    (record,) = bridge.bodies[0]["records"]
    pairs = {pair["key"]: base64.b64decode(pair["value"]).decode() for pair in record["headers"]}
    assert pairs == headers(envelope("job"), traceparent="00-trace", tracestate="a=b")
    assert base64.b64decode(record["key"]) == b"acme"
    assert base64.b64decode(record["value"]) == value(envelope("job"))
    assert received(pairs, base64.b64decode(record["value"])).envelope == envelope("job")
    assert base64.b64decode(str(bridge.accounts[-1]).removeprefix("Basic ")) == b"ingest:p/w"


@pytest.mark.parametrize(
    "answer",
    [
        JSONResponse({"error_code": 404}, 404),
        JSONResponse({"offsets": [{"error_code": 403, "error": "no right"}]}),
        JSONResponse({"offsets": []}),
        JSONResponse({"offsets": [{"partition": 0, "offset": None}]}),
        JSONResponse([]),
        Response("not JSON"),
        Response(status_code=302, headers={"Location": "/elsewhere"}),
    ],
)
def test_only_an_offset_is_an_acknowledgement(bridge: Bridge, answer: Response) -> None:
    bridge.answer = answer
    with pytest.raises(BrokerUnavailable, match="bridge http") as raised:
        publish(bridge.url)
    assert "p/w" not in str(raised.value)


def test_a_bridge_that_is_away_is_an_outage() -> None:
    with pytest.raises(BrokerUnavailable, match="ConnectError"):
        publish("http+kafkarest://127.0.0.1:1")


@pytest.mark.parametrize("url", ["http+kafkarest://bridge.example", "https+kafkarest://", "ftp+kafkarest://host"])
def test_without_tls_only_loopback_is_spoken_to(url: str) -> None:
    with pytest.raises(SettingsError, match="kafkarest address"):
        publisher(url, None)


def test_nothing_is_consumed_over_a_bridge(engine: Any) -> None:
    with pytest.raises(SettingsError, match="publishing alone"):
        subscriber("https+kafkarest://bridge.example", engine)
    with pytest.raises(SettingsError, match="no broker"):
        subscriber("amqp://user:hunter2@host", engine)
