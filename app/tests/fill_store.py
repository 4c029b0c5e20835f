"""Run as a program of its own: `fill_store.py URL BYTES` makes jobs in a store that no file of may outgrow BYTES.

It prints each job that was acknowledged, and then why the next one was not.
"""

import resource
import sys

from app.store.engine import StoreUnavailable, open_store
from app.store.jobs import Jobs
from app.tests.local import envelope


def fill(url: str, most_bytes: int) -> None:
    store = Jobs(open_store(url))
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    for number in range(10_000):
        job = envelope(f"job{number:05}", metadata={"text": "x" * 5000})
        try:
            store.insert_or_ignore(job, traceparent=None)
        except StoreUnavailable as refusal:
            sys.stdout.write(f"{refusal}\n")
            return
        sys.stdout.write(f"{job.id}\n")


if __name__ == "__main__":
    fill(sys.argv[1], int(sys.argv[2]))
