"""What the judge does not understand it refuses: a verdict about a misread policy would be worth nothing."""


class Refused(Exception):  # noqa: N818 - a refusal is an answer (exit code 2), not a fault of the judge
    """Input outside of what the evaluator knows.

    where: file, with the line where one is known; at: path inside the document; why: value, rule and remedy.
    """

    def __init__(self, *, where: str, at: str, why: str) -> None:
        super().__init__(f"{where}: {at}: {why}" if at else f"{where}: {why}")
        self.where = where
        self.at = at
        self.why = why
