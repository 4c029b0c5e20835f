"""`tenon promote JOB`: gate -> model record -> re-render -> commit, on a plain Git repository."""

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from tenon.output import CommandError, ExitCode, answer_json, answer_table

if TYPE_CHECKING:
    from app.contract.models import ModelRecord
    from app.promoter import Promotion
    from app.store.jobs import Job


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job", help="id of a job that succeeded")
    parser.add_argument("--home", type=Path, default=Path(".cache/up"), help="folder of `tenon up` (default .cache/up)")
    parser.add_argument("--stage", choices=("candidate", "canary", "stable"), default="canary", help="default: canary")
    parser.add_argument("--store-url", default=os.environ.get("TENON_STORE_URL"), help="default: SQLite below --home")
    parser.add_argument("--s3-url", default=os.environ.get("TENON_S3_URL"), help="default: that of `tenon up`")


def run(options: argparse.Namespace) -> int:
    promotion = promote(options)
    version = promotion.version
    if options.json:
        found = version.model_dump(mode="json", by_alias=True)
        named = {"tenant": promotion.tenant, "model": promotion.model, "commit": promotion.commit}
        answer_json({**named, **found, "summary": promotion.summary})
    else:
        rows = [
            ("version", version.version),
            ("stage", options.stage),
            ("adapter", f"sha256:{version.adapter_digest}"),
            ("gate", "; ".join(finding.text for finding in promotion.gate.findings)),
            ("record", promotion.record_path),
            ("commit", promotion.commit or "none: the record says so already"),
        ]
        answer_table(f"{promotion.tenant}/{promotion.model}", ("", ""), rows)
    return int(ExitCode.OK)


def promote(options: argparse.Namespace) -> "Promotion":
    """Promote with the renderer of this tree. Raises CommandError; exit 1 when the gate says no."""
    from app.buckets import Buckets, BucketUnavailable, ObjectMissing
    from app.contract.models import Stage
    from app.git.plain import PlainRepository, RepositoryError
    from app.promoter import GateError, Promoter, PromotionError
    from generators.rendering import write
    from tenon.directory import entries
    from tenon.home import Home
    from tenon.objectstore import promoter_access

    job = _job(options)
    tenants, _ = entries(options.root)
    if job.tenant not in tenants:
        raise CommandError(
            f"job {job.id}: tenant {job.tenant} is not in {options.root / 'rendered'}; run `tenon render`"
        )
    os.environ.update(promoter_access(Home(options.home)).environment())  # this process is the promoter
    promoter = Promoter(
        objects=Buckets(options.s3_url or _s3_url(options.home)),
        repository=PlainRepository(options.root),
        read_record=_record,
        render=lambda: write(options.root),
    )
    try:
        return promoter.promote(job, tenant_bucket=tenants[job.tenant].bucket, stage=Stage(options.stage))
    except GateError as error:
        raise CommandError(str(error), ExitCode.CHECK_FAILED) from None
    except (PromotionError, RepositoryError) as error:
        raise CommandError(str(error)) from None
    except ObjectMissing as error:
        raise CommandError(f"job {job.id}: {error}") from None
    except BucketUnavailable as error:
        raise CommandError(f"{error}; is `tenon up` running?", ExitCode.UNAVAILABLE) from None


def _job(options: argparse.Namespace) -> "Job":
    from app.store.engine import open_store
    from app.store.jobs import Jobs
    from tenon.home import Home

    if options.store_url is None and not (options.home / "store.db").exists():
        raise CommandError(f"{options.home}: holds no store; give --home of the `tenon up` that ran the job")
    jobs = Jobs(open_store(options.store_url or Home(options.home).store_url))
    if (job := jobs.find(options.job)) is None:
        raise CommandError(f"job {options.job!r}: is not in the store; `--home` names the folder of `tenon up`")
    return job


def _record(path: Path) -> "ModelRecord":
    from app.contract.models import ModelRecord
    from generators.inputs.reading import InputErrors, parse, read_document

    document = read_document(path, shown_as=str(path))
    if (record := parse(document, ModelRecord)) is None:
        raise CommandError(str(InputErrors(document.errors)))
    return record


def _s3_url(home: Path) -> str:
    """Address of the object store of a running `tenon up`."""
    connection = home / "connection.json"
    if not connection.exists():
        text = f"{home}: `tenon up` does not run there; start it, or name the store with --s3-url"
        raise CommandError(text, ExitCode.UNAVAILABLE)
    return str(json.loads(connection.read_text())["s3"])
