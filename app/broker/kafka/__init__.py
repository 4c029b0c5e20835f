"""The production broker: Apache Kafka, by its own protocol."""
