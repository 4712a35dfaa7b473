"""The evaluation report: one HTML file with its pictures inside, for light and dark screens."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from components.evaluate.model_card import figure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from matplotlib.axes import Axes

    from components.evaluate.evaluation import Evaluation


@dataclass(frozen=True)
class Palette:
    """Colours of the pictures for one colour scheme."""

    ink: str
    faint: str
    empty: str
    curves: tuple[str, str, str]


#: Colours of text, of thin lines and empty cells, and of the curves; the curves' colours can be
#: told apart by the colour-blind.
LIGHT = Palette("#24292f", "#d0d7de", "#f6f8fa", ("#0969da", "#bc4c00", "#1a7f37"))
DARK = Palette("#e6edf3", "#3d444d", "#151b23", ("#58a6ff", "#f0883e", "#3fb950"))

STYLE = """
:root { color-scheme: light dark; --ink: #24292f; --soft: #57606a; --line: #d0d7de;
  --ground: #ffffff; --tile: #f6f8fa; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9198a1; --line: #3d444d;
  --ground: #0d1117; --tile: #151b23; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem; max-width: 62rem; color: var(--ink);
  background: var(--ground); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .75rem; }
p { color: var(--soft); margin: .25rem 0 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem;
  margin-top: 1.25rem; }
.tile { background: var(--tile); border: 1px solid var(--line); border-radius: .5rem;
  padding: .6rem .8rem; }
.tile b { display: block; font-size: 1.35rem; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: .85rem; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 18rem), 1fr));
  gap: 1.5rem; }
figure { margin: 0; } figcaption { color: var(--soft); font-size: .85rem; }
img { width: 100%; height: auto; display: block; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .4rem .6rem; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
th { color: var(--soft); font-weight: 600; font-size: .85rem; }
"""


def render(result: Evaluation) -> str:
    """Return the report's HTML; it loads nothing from elsewhere."""
    tiles = "".join(tile(*metric) for metric in result.metrics.items() if metric[0] != "test_rows")
    pictures = [
        picture(
            lambda axes, colours: draw_confusion(axes, colours, result),
            "Confusion matrix: test rows by true and predicted species",
        ),
        picture(
            lambda axes, colours: draw_curves(axes, colours, result),
            "ROC: each species against the others, and all such questions together",
        ),
    ]
    if result.importances:
        pictures.append(
            picture(
                lambda axes, colours: draw_importances(axes, colours, result),
                "Share of each measure in the model's decisions",
            )
        )
    by_species = html_table(
        ("Species", "Precision", "Recall", "F1", "ROC AUC", "Test rows"),
        (
            (s.name, *map(figure, (s.precision, s.recall, s.f1, s.roc.area)), str(s.rows))
            for s in result.by_species
        ),
    )
    made_with = html_table(
        ("Model", result.algorithm),
        [*result.hyper_parameters.items(), *result.library_versions.items()],
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Evaluation: penguin species</title>
<style>{STYLE}</style>
</head>
<body>
<h1>Evaluation: penguin species</h1>
<p>{escape(result.algorithm)} on {result.rows} test rows that training did not see</p>
<div class="tiles">{tiles}</div>
<h2>Pictures</h2>
<div class="pictures">{"".join(pictures)}</div>
<h2>By species</h2>
{by_species}
<h2>Made with</h2>
{made_with}
</body>
</html>
"""


def tile(name: str, value: float) -> str:
    """Return a metric's value above its name."""
    title = escape(name.replace("_", " "))
    return f'<div class="tile"><b>{figure(value)}</b><span>{title}</span></div>'


def html_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table that scrolls by itself in a narrow window."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def picture(draw: Callable[[Axes, Palette], None], caption: str) -> str:
    """Return a figure that is drawn twice; the browser takes the one for its colour scheme."""
    return (
        '<figure><picture><source media="(prefers-color-scheme: dark)" '
        f'srcset="{data_uri(draw, DARK)}"><img src="{data_uri(draw, LIGHT)}" '
        f'alt="{escape(caption)}"></picture><figcaption>{escape(caption)}</figcaption></figure>'
    )


def data_uri(draw: Callable[[Axes, Palette], None], colours: Palette) -> str:
    """Return a drawing as an SVG inside a data address; the same drawing gives the same bytes."""
    ink, faint = colours.ink, colours.faint
    settings: Any = {
        "svg.hashsalt": "kfpkit",
        "font.size": 11,
        "text.color": ink,
        "axes.labelcolor": ink,
        "axes.edgecolor": faint,
        "xtick.color": ink,
        "ytick.color": ink,
        "legend.frameon": False,
    }
    with mpl.rc_context(settings):
        drawing = Figure(figsize=(5, 4), layout="constrained")
        draw(drawing.subplots(), colours)
        buffer = BytesIO()
        drawing.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def draw_confusion(axes: Axes, colours: Palette, result: Evaluation) -> None:
    """Draw the counts, coloured by their share of the true species."""
    names = result.species
    shares = [[count / sum(row) for count in row] for row in result.confusion]
    shades = LinearSegmentedColormap.from_list("shades", [colours.empty, colours.curves[0]])
    image = axes.imshow(shares, cmap=shades, vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="predicted", ylabel="true")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for y, row in enumerate(result.confusion):
        for x, count in enumerate(row):
            red, green, blue, _ = image.cmap(shares[y][x])
            bright = 0.3 * red + 0.6 * green + 0.1 * blue > 0.5
            axes.text(
                x, y, str(count), ha="center", va="center", color="#111" if bright else "#fff"
            )


def draw_curves(axes: Axes, colours: Palette, result: Evaluation) -> None:
    """Draw a ROC for each species and the one over all."""
    axes.plot([0, 1], [0, 1], color=colours.faint, linewidth=1)
    curves = [(s.name, s.roc) for s in result.by_species]
    for index, (name, roc) in enumerate(curves):
        x, y, _ = zip(*roc.points, strict=True)
        axes.plot(x, y, label=f"{name} ({roc.area:.3f})", color=colours.curves[index % 3])
    x, y, _ = zip(*result.roc.points, strict=True)
    label = f"all ({result.roc.area:.3f})"
    axes.plot(x, y, label=label, color=colours.ink, linestyle="--")
    axes.set(xlabel="false positive rate", ylabel="recall", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower right", title="area under the curve")


def draw_importances(axes: Axes, colours: Palette, result: Evaluation) -> None:
    """Draw one bar for each measure, the weightiest on top."""
    ordered = sorted(result.importances.items(), key=lambda item: item[1])
    bars = axes.barh(
        [name.replace("_", " ") for name, _ in ordered],
        [share for _, share in ordered],
        color=colours.curves[0],
    )
    axes.bar_label(bars, fmt="%.2f", padding=4)
    axes.set_xlim(0, max(result.importances.values()) * 1.15)
    axes.tick_params(length=0)
    axes.xaxis.set_visible(False)
    axes.spines[:].set_visible(False)
