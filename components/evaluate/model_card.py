"""The model card, as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from components.evaluate.evaluation import Evaluation


def render(result: Evaluation, *, model_sha256: str, data_sha256: str) -> str:
    """Return the card's text."""
    species = ", ".join(result.species)
    return f"""# Model card: penguin species

## Model

{
        table(
            ("Property", "Value"),
            [
                ("Algorithm", result.algorithm),
                *((f"`{name}`", value) for name, value in result.hyper_parameters.items()),
                ("SHA-256", f"`{model_sha256}`"),
                *((name, version) for name, version in result.library_versions.items()),
            ],
        )
    }
Predicts the species of a penguin ({species}) from bill length, bill depth, flipper length (mm) and
body mass (g). The measures must be scaled first, with the `mean` and `scale` of the artifact
`preprocessing`.

## Intended use

A sample that shows a whole pipeline. It is fit for teaching and for trying a platform out, not for
decisions about animals.

## Data

Palmer penguins (Horst, Hill and Gorman, CC0): adult penguins of three species, measured near Palmer
Station, Antarctica, from 2007 to 2009. Rows that lack a measure are left out. Evaluated on
{result.rows} rows that training did not see (SHA-256 `{data_sha256}`).

## Metrics

{table(("Metric", "Value"), [(name, figure(value)) for name, value in result.metrics.items()])}
{
        table(
            ("Species", "Precision", "Recall", "F1", "ROC AUC", "Test rows"),
            [
                (
                    scores.name,
                    figure(scores.precision),
                    figure(scores.recall),
                    figure(scores.f1),
                    figure(scores.roc.area),
                    str(scores.rows),
                )
                for scores in result.by_species
            ],
        )
    }
## Limitations

- One place, three seasons, adults only: other colonies, years and chicks were never seen.
- {result.rows} test rows: one penguin more or less right moves the accuracy by {
        1 / result.rows:.3f}.
- A bird of another species is still given one of these.
"""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, with an empty line after it."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def figure(value: float) -> str:
    """Return a number as the card and the report write it."""
    return f"{value:.4f}" if isinstance(value, float) else str(value)
