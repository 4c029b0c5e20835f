"""Paths inside a tenant's bucket. A folder is complete only when its MANIFEST.json is there, which is written last."""

MANIFEST = "MANIFEST.json"  # {"files": {path: {"sha256": hex, "bytes": n}}, ...}; see manifest_digest
REPORT = "report.json"
METRICS = "metrics.jsonl"
CHECKPOINTS = "checkpoints"
ADAPTER = "adapter"
PREPARED = "prepared"
PREVIEW = "preview.json"  # the first rows as the training sees them: tokens, and which of them the loss counts
LOG = "log"  # <step>/<offset>/lines: parts of what a step said, each named by the bytes before it
LINES = "lines"
USAGE = "usage"  # <step>-<rank>-<run>/trace.json: what each run of the attempt used, killed ones too
CARD = "README.md"
PROVENANCE = "provenance.json"  # of a version: in-toto statement over its files
SIGNATURE = "signature.json"  # of a version: DSSE envelope around it; absent: unsigned
# Of a search: <n>/{proposal.json, spent.json, measurements.jsonl, result.json, adapter/}, and at its end the two below.
TRIALS = "trials"
BEST_RECIPE = "best.yaml"  # the recipe of the best trial
TRIALS_TABLE = "search.json"  # what was tried, what came of it, what it cost
IMPORTANCE = "importance.svg"  # how much each parameter decides
PARTIAL = "evaluation/partial.json"  # parts of an evaluation that are done
CURVE = "loss.svg"  # the losses as a picture, for the two pages:
PAGE = "report.html"
PAGE_TEXT = "report.md"


def datasets(file: str) -> str:
    return f"datasets/{file}"


def attempt(job: str, number: int) -> str:
    """Prefix that attempt `number` of a job alone writes."""
    return f"jobs/{job}/{number}"


def log(step: str) -> str:
    """Below an attempt: what a step said."""
    return f"{LOG}/{step}"


def version(model: str, name: str) -> str:
    """Prefix that `publish` alone writes."""
    return f"models/{model}/{name}"


def drifts(job: str) -> str:
    """Prefix of the evaluations of a job's version while it is served: `<n>/report.json` each, n from 1."""
    return f"jobs/{job}/drift"
