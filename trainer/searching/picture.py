"""What mattered in a search, as a picture: same numbers, same bytes."""

import io
from collections.abc import Mapping, Sequence

_BARS, _POINTS = "#4c72b0", "#c44e52"


def picture(importance: Mapping[str, float], tried: Sequence[tuple[float, float]]) -> bytes:
    """SVG: the share of each parameter, and the held-out loss at each learning rate that was tried."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "tenon", "svg.fonttype": "none", "font.size": 10}):
        figure = Figure(figsize=(8, 3.2), layout="constrained")
        FigureCanvasSVG(figure)
        shares, losses = figure.subplots(1, 2)
        names = list(importance)[::-1]
        shares.barh(names, [importance[name] for name in names], color=_BARS)
        shares.set_xlim(0, 1)
        shares.set_xlabel("importance (PED-ANOVA)" if names else "importance: too few trials ran to their end")
        losses.scatter([rate for rate, _ in tried], [loss for _, loss in tried], color=_POINTS, s=18)
        losses.set_xscale("log")
        losses.set_xlabel("learning rate")
        losses.set_ylabel("held-out loss")
        written = io.BytesIO()
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    return written.getvalue()
