"""The routes that need a store, over their collaborators."""

from starlette.routing import Route

from app.api.checkpoints import CheckpointRoutes
from app.api.details import DetailsReader
from app.api.entrance import Entrance
from app.api.estimate import Estimate
from app.api.events import Events
from app.api.files import FileRoutes
from app.api.finetune import Ingest, Rows
from app.api.limits import Limits
from app.api.logs import LogRoutes
from app.api.openai import FineTuning
from app.api.preview import Previews
from app.api.uploads import UploadRoutes
from app.buckets import Buckets
from app.directory import Directory
from app.jobs.ids import Ids
from app.store.checkpoints import Checkpoints
from app.store.ledger import Ledger


def fine_tuning(
    *, entrance: Entrance, ingest: Ingest, directory: Directory, rows: Rows, buckets: Buckets | None
) -> list[Route]:
    """Jobs and all below them; files where there is an object store."""
    details = DetailsReader(jobs=rows.jobs, ledger=Ledger(rows.jobs.engine), directory=directory)
    jobs = FineTuning(entrance=entrance, ingest=ingest, directory=directory, jobs=rows.jobs, details=details.of)
    checkpoints = CheckpointRoutes(entrance=entrance, jobs=rows.jobs, checkpoints=Checkpoints(rows.jobs.engine))
    routes = Limits(entrance=entrance, directory=directory).routes()
    if buckets is not None:  # before the routes of one job, which would take `estimate` for its id
        price = Estimate(entrance=entrance, ingest=ingest, directory=directory, rows=rows, buckets=buckets)
        routes += price.routes()
    routes += [*jobs.routes(), *Events(entrance=entrance, jobs=rows.jobs).routes(), *checkpoints.routes()]
    if buckets is not None:
        files = FileRoutes(entrance=entrance, files=rows.files, jobs=rows.jobs, buckets=buckets, ids=Ids())
        uploads = UploadRoutes(entrance=entrance, files=rows.files, buckets=buckets, ids=Ids())
        logs = LogRoutes(entrance=entrance, jobs=rows.jobs, buckets=buckets)
        routes += [*files.routes(), *uploads.routes(), *logs.routes()]
        routes += Previews(entrance=entrance, jobs=rows.jobs, buckets=buckets).routes()
    return routes
