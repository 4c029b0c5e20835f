"""The pages of a report: what a model or a data set says is shown, and never read as Markdown, HTML or a mention."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from trainer.attempt import AttemptFolder
from trainer.contract.bucket import CURVE, METRICS, PAGE, PAGE_TEXT
from trainer.contract.report import Evaluation, Interval, Preference, Refusals, Report, Sample, Score
from trainer.contract.summary import bars, plain, preformatted, summary
from trainer.evaluation.metrics import curve, lines_of
from trainer.evaluation.pages import page, write_pages
from trainer.evaluation.picture import losses
from trainer.tests.conftest import MakeSettings

ATTACKS = (
    "</pre></details><script>alert(1)</script>",
    "![x](https://evil.example/p.png) [y](javascript:alert(1))",
    "\n\n# heading\n\n| a | b |\n|---|---|\n\n- [x] done @acme/owners fixes #1",
    "`code`\n```\n</pre>\n```\n<img src=x onerror=alert(1)>",
    "&lt;b&gt; &#60;i&#62; \x1b[31m \u202egnp.exe \x00",
    "> quote\n\n    indented\n\n<!-- comment --> <https://evil.example> www.evil.example",
)
OWN_TAGS = {"p", "strong", "code", "br", "table", "thead", "tbody", "tr", "th", "td", "details", "summary", "b", "pre"}
PAGE_TAGS = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "img", "dl", "dt", "dd"}
SCORE = Score(before=Interval(value=2, low=1.5, high=2.5), after=Interval(value=1, low=0.5, high=1.5), rows=9)


def report_with(text: str) -> Report:
    """A report that has the text wherever a text of others can stand."""
    found = Evaluation(
        loss=SCORE,
        perplexity=SCORE,
        scores={"rougeL": SCORE},
        regression=SCORE,
        safety=Refusals(prompts=26, before=20, after=19),
        judge=Preference(wins=3, ties=1, losses=2, win_rate=SCORE.after, length_difference=12.4),
        tasks={f"{text}/acc": SCORE},
        samples=(Sample(prompt=text, reference=text, before=text, after=text),),
        curve=(3.0, 2.0, 1.0),
        absent={"judge": text},
    )
    named = {"licences": {"data": text}, "non_commercial": True}
    return Report(
        status="evaluated", job="j1", version="replies-j1", adapter_digest="a" * 64, evaluation=found, **named
    )


class _Page(HTMLParser):
    """What a browser makes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.texts: list[str] = []
        self.comments: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)


def _rendered(markdown: str) -> _Page:
    """As GitHub and GitLab read it: CommonMark with tables and raw HTML."""
    return _Page(MarkdownIt("commonmark", {"html": True, "linkify": False}).enable("table").render(markdown))


@pytest.mark.parametrize("text", ATTACKS)
@pytest.mark.parametrize("shown", [lambda report: _rendered(summary(report)), lambda report: _Page(page(report, b""))])
def test_no_text_of_a_model_becomes_markup(shown: Callable[[Report], _Page], text: str) -> None:
    found = shown(report_with(text))
    assert not found.comments
    assert found.tags <= OWN_TAGS | {
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "h1",
        "h2",
        "img",
        "dl",
        "dt",
        "dd",
    }
    assert found.attributes <= {"lang", "charset", "http-equiv", "content", "alt", "src", "style"}
    assert "evil" not in "".join(found.tags)


@given(st.text(max_size=60))
@settings(max_examples=60, deadline=None)
def test_any_text_leaves_the_summary_with_its_own_tags_and_no_more(text: str) -> None:
    found, empty = _rendered(summary(report_with(text))), _rendered(summary(report_with("x")))
    assert found.tags == empty.tags
    assert found.attributes == {"style"}  # of the aligned columns


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=40))
@settings(max_examples=40, deadline=None)
def test_preformatted_text_reads_as_it_was(text: str) -> None:
    assert "".join(_rendered(preformatted(text)).texts).rstrip("\n") == text
    assert "".join(_Page(plain(text)).texts) == text


def test_a_mention_in_an_answer_calls_nobody() -> None:
    assert "@" not in summary(report_with("@acme/owners please merge"))


def test_the_summary_says_what_the_gate_and_the_reviewer_need() -> None:
    text = summary(report_with("fine"), folder="s3://tenon-acme/jobs/j1/1")
    assert "| Held-out loss | 2 (1.5 to 2.5) | 1 (0.5 to 1.5) | 9 | lower |" in text
    assert "| Refused prompts | 20 | 19 | 26 | not lower |" in text
    assert "Training loss █▅▁ 3 to 1" in text
    assert "preferred 3 times, the base model's 2 times, neither 1 times" in text
    assert "<details><summary>1 held-out rows" in text
    assert "s3&#58;&#47;&#47;tenon&#45;acme" in text


def test_a_report_of_an_old_trainer_still_has_a_summary() -> None:
    old = Report(status="published", job="j", version="m-j", loss_before=2.0, loss_after=1.0)
    assert "| Held-out loss | 2.0000 | 1.0000 |  | lower |" in summary(old)
    assert "Not evaluated yet." in summary(Report(status="trained", job="j", version="m-j"))


@given(st.lists(st.floats(-1e6, 1e6), max_size=30))
@settings(max_examples=30, deadline=None)
def test_bars_rise_with_the_values(values: list[float]) -> None:
    shown = bars(values)
    assert len(shown) == len(values)
    assert all(one <= other for (_, one), (_, other) in zip(*[iter(sorted(zip(values, shown, strict=True)))] * 2))  # noqa: B905


def test_the_curve_has_at_most_sixty_points_and_ends_low() -> None:
    lines = lines_of(b"".join(b'{"step": %d, "loss": %f}\n' % (step, 1000 / step) for step in range(1, 1001)) + b'{"st')
    points = curve(lines)
    assert len(points) == 59
    assert points == tuple(sorted(points, reverse=True))


def test_the_picture_is_the_same_for_the_same_numbers() -> None:
    lines = [{"step": step, "loss": 3 / step, "learningRate": 0.1 / step, "evalLoss": 2.0} for step in range(1, 9)]
    picture = losses(lines)
    assert picture == losses(lines)
    texts = {element.text for element in ET.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")}  # noqa: S314
    assert {"training loss", "held-out loss", "learning rate", "step"} <= texts
    assert not re.search(rb"<dc:date>|20\d\d-\d\d", picture)


def test_pages_lie_beside_the_report_and_load_nothing(make_settings: MakeSettings, tmp_path: Path) -> None:
    attempt = AttemptFolder.of(make_settings())
    (attempt.local / METRICS).write_text('{"step": 1, "loss": 2.0}\n')
    write_pages(attempt, report_with("fine"))
    assert (attempt.read(PAGE_TEXT) or b"").decode().startswith(f"# replies-j1\n\n![Losses over the steps]({CURVE})")
    text = (attempt.read(PAGE) or b"").decode()
    assert "data:image/svg+xml;base64," in text
    assert re.findall(r"https?://", text) == []
