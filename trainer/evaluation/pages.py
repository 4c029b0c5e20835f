"""The report for people: report.md, report.html (one file, without script) and loss.svg. Needs no torch."""

import base64
import html
from collections.abc import Iterator

from trainer.attempt import AttemptFolder
from trainer.contract.bucket import CURVE, METRICS, PAGE, PAGE_TEXT
from trainer.contract.report import Evaluation, Interval, Report, Score
from trainer.contract.summary import preformatted, summary
from trainer.evaluation.metrics import lines_of
from trainer.evaluation.picture import losses
from trainer.publishing.manifest import to_json, write_whole

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse}td,th{border:1px solid #ccc;padding:.3rem .6rem;text-align:right}"
    "td:first-child,th:first-child{text-align:left}pre{white-space:pre-wrap;background:#f5f5f5;padding:.6rem}"
    "img{max-width:100%}dt{font-weight:600}"
)
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def write_pages(attempt: AttemptFolder, report: Report) -> None:
    """Write a report's pages and picture into the attempt's folder, and into the bucket. Raises Unavailable."""
    picture = losses(lines_of(attempt.read(METRICS) or b""))
    text = f"# {report.version}\n\n![Losses over the steps]({CURVE})\n\n{summary(report)}"
    for name, content in ((CURVE, picture), (PAGE_TEXT, text.encode()), (PAGE, page(report, picture).encode())):
        write_whole(attempt.local / name, content)
        attempt.push_file(name)


def page(report: Report, picture: bytes) -> str:
    """HTML that loads nothing; every text of a model or a data set is escaped."""
    shown = base64.b64encode(picture).decode()
    title = html.escape(report.version)
    found = report.evaluation or Evaluation()
    parts = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"><style>{_STYLE}</style></head><body>',
        f"<h1>{title}</h1>",
        f'<img alt="Losses over the steps" src="data:image/svg+xml;base64,{shown}">',
        "<table><tr><th>Figure (95 % interval)</th><th>Base</th><th>Tuned</th><th>Rows</th></tr>",
        *(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in _figures(found)),
        "</table>",
        *(f"<p>Not measured: {html.escape(name)}: {html.escape(why)}</p>" for name, why in found.absent.items()),
        "<h2>Held-out rows, answered by both</h2>" if found.samples else "",
        *(
            f"<dl><dt>Request</dt><dd>{preformatted(sample.prompt)}</dd>"
            f"<dt>Held-out answer</dt><dd>{preformatted(sample.reference)}</dd>"
            f"<dt>Base model</dt><dd>{preformatted(sample.before)}</dd>"
            f"<dt>Tuned model</dt><dd>{preformatted(sample.after)}</dd></dl>"
            for sample in found.samples
        ),
        f"<h2>report.json</h2>{preformatted(to_json(_without_samples(report)))}",
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _figures(found: Evaluation) -> Iterator[tuple[str, ...]]:
    named: list[tuple[str, Score | None]] = [("Held-out loss", found.loss), ("Perplexity", found.perplexity)]
    named += [*found.scores.items(), ("Loss on general rows", found.regression), *found.tasks.items()]
    for name, score in named:
        if score is not None:
            yield (name, _interval(score.before), _interval(score.after), str(score.rows))
    if (safety := found.safety) is not None:
        yield ("Refused prompts", str(safety.before), str(safety.after), str(safety.prompts))
    if (judged := found.judge) is not None:
        rate = f"win rate {_interval(judged.win_rate)}"
        yield ("Preferred by the judge", str(judged.losses), str(judged.wins), f"{rate}, {judged.ties} ties")


def _interval(interval: Interval) -> str:
    return f"{interval.value:.4g} ({interval.low:.4g} to {interval.high:.4g})"


def _without_samples(report: Report) -> dict[str, object]:
    document: dict[str, object] = report.model_dump(mode="json", by_alias=True, exclude={"evaluation": {"samples"}})
    return document
