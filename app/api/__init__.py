"""The ingest API over HTTP: the border parses, the use case decides, the adapters act."""
