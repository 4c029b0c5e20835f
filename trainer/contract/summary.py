"""A report as Markdown: for the promotion pull request, and for report.md.

What models and data sets say is never Markdown or HTML here. Texts stand in `<pre>`, where nothing is read but
entities, and every character of them that could begin a tag, an entity or a mention is one; words in tables have each
character but letters, digits and blanks as an entity.
"""

import html
import re
from collections.abc import Iterator, Sequence

from trainer.contract.report import Evaluation, Interval, Report, Sample, Score

_TITLES = {"exactMatch": "Exact match", "rougeL": "ROUGE-L", "bleu": "BLEU", "chrf": "chrF"}
_BARS = "▁▂▃▄▅▆▇█"
# Control characters, and those that change the direction of what is read.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


def summary(report: Report, *, folder: str | None = None) -> str:
    """Markdown with a table of the figures, the training loss as a line of bars, and samples that unfold.

    folder: where the pages and the picture are, for those who may read it.
    """
    blocks = [_head(report), _table(list(_rows(report)))]
    if (found := report.evaluation) is not None:
        blocks += list(_notes(found))
        blocks += [_details(found.samples)] if found.samples else []
    if folder is not None:
        blocks.append(f"Pages and picture: {code(folder)} (report.html, report.md, loss.svg)")
    return "\n\n".join(block for block in blocks if block) + "\n"


def code(text: str) -> str:
    """A name or path in code type, whatever it holds."""
    return f"<code>{plain(text)}</code>"


def plain(text: str) -> str:
    """Text that no reader of Markdown or HTML takes for anything else, on one line."""
    seen = _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", " ".join(text.split()))
    return re.sub(r"[^\w ]|_", lambda found: f"&#{ord(found[0])};", seen)


def preformatted(text: str) -> str:
    """A `<pre>` with the text and its line ends, without an empty line, which would end it in some readers."""
    seen = _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n").replace("\r", "\n"))
    escaped = html.escape(seen).replace("@", "&#64;").replace("`", "&#96;")
    return f"<pre>{'&#10;'.join(escaped.split(chr(10)))}</pre>"


def bars(values: Sequence[float]) -> str:
    """A line of bars, the lowest value as the lowest bar."""
    if not values:
        return ""
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    return "".join(_BARS[round((value - low) / span * (len(_BARS) - 1))] for value in values)


def _head(report: Report) -> str:
    digest = code(f"sha256:{report.adapter_digest}") if report.adapter_digest else "none"
    lines = [
        f"**{code(report.version)}** of job {code(report.job)}: adapter {digest}",
        f"{report.rows} training rows, {report.evaluation_rows} held out; {report.steps} steps, {report.tokens} tokens",
    ]
    if report.non_commercial:
        named = ", ".join(f"{plain(of)} {code(licence)}" for of, licence in sorted(report.licences.items()))
        lines.append(f"**Not for commercial use** ({named})")
    if report.licences_to_read:
        named = ", ".join(f"{plain(of)} {code(report.licences.get(of, 'unknown'))}" for of in report.licences_to_read)
        lines.append(f"**Licence to be read by a person** ({named})")
    return "<br>\n".join(lines)


def _rows(report: Report) -> Iterator[tuple[str, ...]]:
    found = report.evaluation or Evaluation()
    if found.loss is not None:
        yield _row("Held-out loss", found.loss, "lower")
    elif report.loss_before is not None and report.loss_after is not None:
        yield ("Held-out loss", f"{report.loss_before:.4f}", f"{report.loss_after:.4f}", "", "lower")
    if found.perplexity is not None:
        yield _row("Perplexity", found.perplexity, "lower")
    for name, score in found.scores.items():
        yield _row(_TITLES.get(name, plain(name)), score, "higher")
    if found.regression is not None:
        yield _row("Loss on general rows", found.regression, "not higher")
    if (safety := found.safety) is not None:
        yield ("Refused prompts", str(safety.before), str(safety.after), str(safety.prompts), "not lower")
    for name, score in found.tasks.items():
        yield _row(code(name), score, "")


def _row(title: str, score: Score, better: str) -> tuple[str, ...]:
    return (title, _figure(score.before), _figure(score.after), str(score.rows), better)


def _figure(interval: Interval) -> str:
    return f"{interval.value:.4g} ({interval.low:.4g} to {interval.high:.4g})"


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    if not rows:
        return "Not evaluated yet."
    titles = ("Figure (95 % interval)", "Base", "Tuned", "Rows", "Better")
    lines = [titles, ("---", "---:", "---:", "---:", "---"), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _notes(found: Evaluation) -> Iterator[str]:
    if found.curve:
        first, last = found.curve[0], found.curve[-1]
        yield f"Training loss {bars(found.curve)} {first:.4g} to {last:.4g}"
    if (judged := found.judge) is not None:
        yield (
            f"Judge: the tuned answer is preferred {judged.wins} times, the base model's {judged.losses} times, neither"
            f" {judged.ties} times; win rate {_figure(judged.win_rate)}; tuned answers are"
            f" {judged.length_difference:+.0f} characters longer on average"
        )
    for name, reason in sorted(found.absent.items()):
        yield f"Not measured: {plain(name)} ({plain(reason)})"


def _details(samples: Sequence[Sample]) -> str:
    blocks = [f"<details><summary>{len(samples)} held-out rows, answered by both</summary>"]
    for number, sample in enumerate(samples, start=1):
        for title, text in (
            (f"{number}. Request", sample.prompt),
            ("Held-out answer", sample.reference),
            ("Base model", sample.before),
            ("Tuned model", sample.after),
        ):
            blocks += [f"<b>{title}</b>", preformatted(text)]
    return "\n\n".join([*blocks, "</details>"])
