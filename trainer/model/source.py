"""The folder of a job's base model, verified, with nothing in it that its manifest does not list. Imports no torch."""

from collections.abc import Iterable
from pathlib import Path

from trainer import storage
from trainer.contract.bucket import MANIFEST
from trainer.contract.job import TrainingJob
from trainer.outcomes import BadInput
from trainer.publishing import manifest
from trainer.publishing.executable import WEIGHTS


def fetched(job: TrainingJob, work: Path, *, only: Iterable[str] | None = None) -> Path:
    """The folder itself where it is local, else a copy in `work`. only: the files that are wanted.

    Libraries take files by their names (a chat template, a second configuration), so that one which nobody listed
    would be used unseen. Raises BadInput for it, and when the folder is another or incomplete.
    """
    try:
        folder = storage.fetch_folder(job.base, work / "base", digest=job.base_digest, only=only)
        listed = manifest.parse((folder / MANIFEST).read_bytes(), where=str(folder))["files"]
    except manifest.Incomplete as error:
        raise BadInput(f"base model: {error}; name a folder of the catalogue") from error
    if not any(name.endswith(WEIGHTS) for name in listed):
        raise BadInput(f"base model: {folder}: lists no weights (*{WEIGHTS}); fetch the model again and seal it")
    for name in manifest.unlisted(folder, listed):
        if not storage.is_remote(job.base):
            raise BadInput(f"base model: {folder / name}: is not in the manifest; remove it, or list it and seal again")
        if not name.endswith(".partial"):  # which another rank may be fetching now
            (folder / name).unlink(missing_ok=True)  # of a base model that was here before
    return folder
