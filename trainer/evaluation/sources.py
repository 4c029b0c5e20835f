"""The files that a job's checks name: read by `prepare` too, so that nothing is trained for a wrong one; no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer import storage
from trainer.contract.checks import Checks
from trainer.data.masks import ChatTokenizer, Document
from trainer.data.reading import read_rows
from trainer.evaluation import safety, tasks
from trainer.outcomes import BadInput


@dataclass(frozen=True)
class Sources:
    """regression: rows of general ability, as documents. dangerous: prompts to refuse. tasks: a folder."""

    regression: Sequence[Document]
    dangerous: Sequence[str]
    tasks: Path | None

    @classmethod
    def of(cls, checks: Checks, tokenizer: ChatTokenizer, *, width: int, work: Path) -> "Sources":
        """width: tokens of the longest row. work: where files of a bucket are copied to. Raises BadInput."""
        if checks.tasks is not None:
            tasks.refuse_absent()
        return cls(
            regression=_regression(checks.regression, tokenizer, width, work=work) if checks.regression else (),
            dangerous=safety.prompts(checks.safety, work / "safety") if checks.safety else (),
            tasks=tasks.fetched(checks.tasks, work) if checks.tasks else None,
        )


def _regression(source: str, tokenizer: ChatTokenizer, width: int, *, work: Path) -> Sequence[Document]:
    """Rows in any form, without those that are longer than a packed row."""
    rows = list(read_rows(storage.fetch_file(source, work / "regression"), shown_as=source))
    documents = [document for row in rows if len(document := tokenizer.document(row)) <= width]
    if not documents:
        raise BadInput(f"{source}: all {len(rows)} rows are longer than {width} tokens (width); give shorter ones")
    return documents
