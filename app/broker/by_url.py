"""TENON_BROKER_URL -> adapter: for wiring.py and operators. Clients that the URL does not ask for are not imported."""

from sqlalchemy import Engine

from app.broker.queue import Outlet, Publisher, Subscriber
from app.broker.sql import SqlOutlet, SqlPublisher, SqlSubscriber
from app.settings import SettingsError


def publisher(url: str, engine: Engine | None) -> Publisher:
    """Raises SettingsError."""
    if url.startswith("kafka://"):
        from app.broker.kafka.address import parse
        from app.broker.kafka.publisher import KafkaPublisher

        return KafkaPublisher(parse(url))
    if "+kafkarest://" in url:
        from app.broker.rest import RestPublisher

        return RestPublisher(url)
    return SqlPublisher(_queue(url, engine))


def subscriber(url: str, engine: Engine) -> Subscriber:
    """Raises SettingsError."""
    if url.startswith("kafka://"):
        from app.broker.kafka.address import parse
        from app.broker.kafka.subscriber import KafkaSubscriber

        return KafkaSubscriber(parse(url), engine)
    return SqlSubscriber(_queue(url, engine))


def outlet(url: str, engine: Engine) -> Outlet:
    """Where dead letters are sent again. Raises SettingsError."""
    if url.startswith("kafka://"):
        from app.broker.kafka.address import parse
        from app.broker.kafka.producing import KafkaOutlet

        return KafkaOutlet(parse(url))
    return SqlOutlet(_queue(url, engine))


def _queue(url: str, engine: Engine | None) -> Engine:
    """The store that holds the queue."""
    if url.startswith(("http+kafkarest://", "https+kafkarest://")):
        raise SettingsError("TENON_BROKER_URL: a bridge is for publishing alone; give the dispatcher kafka://")
    if url != "sql":
        raise SettingsError(f"TENON_BROKER_URL: {url.partition(':')[0]!r} is no broker; give sql or kafka://host:port")
    if engine is None:
        raise SettingsError("TENON_BROKER_URL: `sql` is the queue in the store; set TENON_STORE_URL too")
    return engine
