"""Topics where nobody else makes them: `tenon up` with a Kafka of one's own. On a cluster, Strimzi makes them."""

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from app.broker.kafka.address import parse
from app.broker.kafka.producing import unavailable
from app.broker.topics import TOPICS, Topics

PATIENCE_SECONDS = 10.0
PARTITIONS = 3
BROKERS_DEFAULT = -1  # copies


def ensure_topics(url: str, *, topics: Topics = TOPICS) -> None:
    """Make the topics that are missing. Raises BrokerUnavailable, SettingsError."""
    address = parse(url)
    client = AdminClient(address.client)
    try:
        known = client.list_topics(timeout=PATIENCE_SECONDS).topics
        missing = [name for name in (*topics.taken, topics.dead_letters) if name not in known]
        wanted = [NewTopic(name, num_partitions=PARTITIONS, replication_factor=BROKERS_DEFAULT) for name in missing]
        for made in client.create_topics(wanted, operation_timeout=PATIENCE_SECONDS).values() if wanted else ():
            made.result(PATIENCE_SECONDS)
    except (KafkaException, TimeoutError) as error:
        told = error.args[0] if error.args else "no answer in time"
        raise unavailable(address, topics.jobs, told) from error
