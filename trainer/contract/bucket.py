"""Paths inside a tenant's bucket. A folder is complete only when its MANIFEST.json is there, which is written last."""

MANIFEST = "MANIFEST.json"  # {"files": {path: {"sha256": hex, "bytes": n}}, ...}; see manifest_digest
REPORT = "report.json"
METRICS = "metrics.jsonl"
CHECKPOINTS = "checkpoints"
ADAPTER = "adapter"
PREPARED = "prepared"
LOG = "log"
CARD = "README.md"


def datasets(file: str) -> str:
    return f"datasets/{file}"


def attempt(job: str, number: int) -> str:
    """Prefix that attempt `number` of a job alone writes."""
    return f"jobs/{job}/{number}"


def version(model: str, name: str) -> str:
    """Prefix that `publish` alone writes."""
    return f"models/{model}/{name}"
