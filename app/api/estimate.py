"""`POST /v1/fine_tuning/jobs/estimate`: tokens, time and money of a job that is only asked about."""

from decimal import Decimal

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.api.body import json_body
from app.api.entrance import Entrance
from app.api.errors import Problem
from app.api.finetune import Ingest, Rows
from app.api.job_object import file_of
from app.api.shapes import BudgetState, EstimateObject
from app.api.translation import asked_of
from app.buckets import Buckets
from app.contract.cost import Cost, Prices, cost_of
from app.contract.directory import PlatformEntry, TenantEntry
from app.contract.job import JobState
from app.directory import Directory
from app.jobs.estimate import Forecast, Past, forecast
from app.store.jobs import Job
from app.store.ledger import Ledger
from trainer.contract.job import TrainingJob
from trainer.contract.report import Usage

_DRAFT = "estimate"  # stands for the id of a job that is never made
_LOOKED_BACK = 50  # jobs
_OUR_BUCKET = "s3://"


class Estimate:
    """The route. What it answers rests on the tenant's own jobs and files alone."""

    def __init__(
        self, *, entrance: Entrance, ingest: Ingest, directory: Directory, rows: Rows, buckets: Buckets
    ) -> None:
        self._entrance = entrance
        self._ingest = ingest
        self._directory = directory
        self._rows = rows
        self._ledger = Ledger(rows.jobs.engine)
        self._buckets = buckets

    def routes(self) -> list[Route]:
        return [Route("/v1/fine_tuning/jobs/estimate", self.answer, methods=["POST"])]

    async def answer(self, request: Request) -> Response:
        """The body of a create; what a create refuses is refused here too, but for a full queue."""
        visitor = self._entrance.admit(request)
        asked = asked_of(await json_body(request))
        try:
            envelope = await self._ingest.admitted(asked.to_request(), visitor, _DRAFT)
        except Problem as problem:
            raise asked.in_their_words(problem) from problem
        found = await anyio.to_thread.run_sync(self._estimate, visitor.tenant, asked.model, envelope.training)
        return JSONResponse(found)

    def _estimate(self, tenant: TenantEntry, model: str, training: TrainingJob) -> EstimateObject:
        platform = self._directory.platform
        size, epochs = self._bytes(tenant, training.data), epochs_of(training, platform)
        found = forecast(size, epochs=epochs, recipe=training.recipe, past=self._past(tenant, training, platform))
        cost = _cost(found.usage, tenant, platform.prices)
        budget = self._budget(tenant)
        remaining = Decimal(budget["remaining"]) if budget else None
        return {
            "object": "fine_tuning.estimate",
            "model": model,
            "recipe": training.recipe,
            "bytes": size,
            "epochs": epochs,
            "tokens": found.tokens,
            "cpu_seconds": found.usage.cpu_seconds if found.usage else None,
            "gpu_seconds": found.usage.gpu_seconds if found.usage else None,
            "cost": {"amount": f"{cost.amount:.4f}", "currency": cost.currency} if cost else None,
            "basis": _basis(found, training, platform),
            "budget": budget,
            "within_budget": cost.amount <= remaining if cost and remaining is not None else None,
            "allowed_to_proceed": not (budget and budget["hardStop"] and Decimal(budget["remaining"]) <= 0),
        }

    def _bytes(self, tenant: TenantEntry, url: str) -> int:
        """Raises ObjectMissing for a dataset that is not there."""
        if file := self._rows.files.get(tenant.id, file_of(url)):
            return file.bytes
        return self._buckets.size(tenant.bucket, url.removeprefix(f"{_OUR_BUCKET}{tenant.bucket}/"))

    def _past(self, tenant: TenantEntry, training: TrainingJob, platform: PlatformEntry) -> list[Past]:
        jobs = self._rows.jobs.list(tenant.id, after=None, limit=_LOOKED_BACK)
        ended = [job for job in jobs if job.state is JobState.SUCCEEDED]
        return [self._ended(tenant.id, job, training, platform) for job in ended]

    def _ended(self, tenant: str, job: Job, training: TrainingJob, platform: PlatformEntry) -> Past:
        own, tokens = job.envelope.training, job.numbers.get("tokens", 0)
        used = [entry.usage for entry in self._ledger.of_job(tenant, job.id)]
        file = self._rows.files.get(tenant, file_of(own.data))
        return Past(
            job=job.id,
            recipe=own.recipe,
            epochs=epochs_of(own, platform),
            tokens=int(tokens) if isinstance(tokens, int | float) else 0,
            data_bytes=file.bytes if file else None,
            is_same_data=own.data == training.data,
            usage=Usage(
                cpu_seconds=sum(usage.cpu_seconds for usage in used),
                gpu_seconds=sum(usage.gpu_seconds for usage in used),
            ),
        )

    def _budget(self, tenant: TenantEntry) -> BudgetState | None:
        if (budget := tenant.budget) is None:
            return None
        spent = self._ledger.spent_this_month(tenant.id)
        return {
            "monthly": f"{budget.monthly:.4f}",
            "spent": f"{spent:.4f}",
            "remaining": f"{budget.monthly - spent:.4f}",
            "currency": budget.currency,
            "hardStop": budget.hard_stop,
        }


def epochs_of(training: TrainingJob, platform: PlatformEntry) -> int:
    """The job's own, else the recipe's, else 1."""
    entry = platform.recipe_entries.get(training.recipe)
    return training.hyperparameters.epochs or (entry.epochs if entry else 1)


def _cost(usage: Usage | None, tenant: TenantEntry, prices: Prices) -> Cost | None:
    return cost_of(usage, prices.model_copy(update={"gpu_hour": tenant.gpu_hour_price})) if usage else None


def _basis(found: Forecast, training: TrainingJob, platform: PlatformEntry) -> list[str]:
    basis = list(found.basis)
    if training.hyperparameters.max_steps is not None:
        basis.append("maxSteps may end the job earlier; the figures are those of all its epochs")
    if training.recipe not in platform.recipe_entries and training.hyperparameters.epochs is None:
        basis.append("the recipe's epochs are not known here; 1 is taken")
    return basis
