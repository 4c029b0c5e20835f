"""The losses as a picture: same numbers, same bytes."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

_TRAINING, _HELD_OUT, _RATE = "#4c72b0", "#c44e52", "#999999"


def losses(lines: Sequence[Mapping[str, Any]]) -> bytes:
    """SVG with training loss, held-out loss and learning rate over the steps. lines: of metrics.jsonl."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "tenon", "svg.fonttype": "none", "font.size": 10}):
        figure = Figure(figsize=(8, 4), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        axes.set_xlabel("step")
        axes.set_ylabel("loss")
        rates = axes.twinx()
        rates.set_ylabel("learning rate")
        for key, name, colour, place in (
            ("learningRate", "learning rate", _RATE, rates),
            ("loss", "training loss", _TRAINING, axes),
            ("evalLoss", "held-out loss", _HELD_OUT, axes),
        ):
            steps, values = _series(lines, key)
            if steps:
                marker = "o" if key == "evalLoss" or len(steps) == 1 else None
                place.plot(steps, values, label=name, color=colour, marker=marker, linewidth=1.5)
        axes.set_zorder(rates.get_zorder() + 1)  # losses before the rate
        axes.set_frame_on(False)
        handles = [line for of in (axes, rates) for line in of.get_lines()]
        if handles:
            figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False)
        written = io.BytesIO()
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    return written.getvalue()


def _series(lines: Sequence[Mapping[str, Any]], key: str) -> tuple[list[float], list[float]]:
    points = [
        (float(line["step"]), float(line[key]))
        for line in lines
        if isinstance(line.get(key), int | float) and isinstance(line.get("step"), int | float)
    ]
    return [step for step, _ in points], [value for _, value in points]
