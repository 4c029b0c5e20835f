"""The attempt's folder: a local one that the step works in, mirrored to the bucket when the attempt lives there.

Steps run in pods of their own, so whatever the next step or a later attempt needs goes through the bucket.
"""

import errno
import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from trainer import storage
from trainer.contract.bucket import CHECKPOINTS, REPORT
from trainer.contract.report import Report
from trainer.outcomes import BadInput, Unavailable
from trainer.publishing.manifest import to_json, write_whole
from trainer.settings import Settings

_NOT_OURS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}  # trying again changes nothing


@dataclass(frozen=True)
class AttemptFolder:
    """local: where the step reads and writes. url: the bucket's side, None when `local` is the place itself."""

    local: Path
    url: str | None

    @classmethod
    def of(cls, settings: Settings) -> "AttemptFolder":
        """Raises BadInput when the folder is not to be written to, Unavailable when the disk refuses for now."""
        if storage.is_remote(settings.attempt_url):
            made = cls(settings.work / "attempt", settings.attempt_url)
        else:
            made = cls(Path(settings.attempt_url), None)
        try:
            made.local.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            kind = BadInput if error.errno in _NOT_OURS else Unavailable
            raise kind(f"{made.local}: cannot be made ({error.strerror}); give another folder") from error
        return made

    def below(self, name: str) -> "AttemptFolder":
        """A folder of it, for one of several trainings of the attempt."""
        made = AttemptFolder(self.local / name, None if self.url is None else f"{self.url}/{name}")
        made.local.mkdir(parents=True, exist_ok=True)
        return made

    def push_file(self, name: str) -> None:
        """Bring a file of the local folder into the bucket."""
        if self.url is not None:
            storage.store_file(self.local / name, f"{self.url}/{name}")

    def push_folder(self, name: str) -> None:
        """Bring a sealed folder into the bucket."""
        if self.url is not None:
            storage.store_folder(self.local / name, f"{self.url}/{name}")

    def pull_folder(self, name: str) -> Path:
        """A verified local copy of a sealed folder. Raises manifest.Incomplete when there is none."""
        return storage.fetch_folder(f"{self.url or self.local}/{name}", self.local / name)

    def drop_checkpoints(self) -> None:
        """Remove all of them, here and in the bucket: nothing is to go on from them any more."""
        for root in {str(self.local), self.url or str(self.local)}:
            storage.remove_folder(f"{root}/{CHECKPOINTS}")

    def read(self, name: str) -> bytes | None:
        """Content of a file as the bucket has it, None when it is not there."""
        return storage.read(f"{self.url or self.local}/{name}")

    def report(self) -> Report | None:
        """The report so far; None before the first step, or when it is no report of ours."""
        content = self.read(REPORT)
        try:
            return None if content is None else Report.model_validate(json.loads(content))
        except (ValueError, ValidationError):
            return None

    def write_report(self, report: Report) -> None:
        """Replace the report, whole."""
        content = to_json(report.model_dump(mode="json", by_alias=True)).encode()
        try:
            write_whole(self.local / REPORT, content)
        except OSError as error:
            raise Unavailable(f"{self.local / REPORT}: cannot be written ({error.strerror}); free the disk") from error
        self.push_file(REPORT)
