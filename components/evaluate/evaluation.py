"""What an evaluation found: the one description that the artifacts, report and card show."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Roc:
    """A receiver operating characteristic."""

    #: False positive rate, recall and the threshold on the probability, from threshold 1 downwards.
    points: list[tuple[float, float, float]]
    #: Area under the curve: 0.5 is guessing, 1 is perfect.
    area: float


@dataclass(frozen=True)
class SpeciesScores:
    """How well one species is told from the others."""

    name: str
    precision: float
    recall: float
    f1: float
    #: Test rows of the species.
    rows: int
    roc: Roc


@dataclass(frozen=True)
class Evaluation:
    """How good a model is on the test data."""

    accuracy: float
    log_loss: float
    #: Counts: a row for each true species, a column for each predicted one.
    confusion: list[list[int]]
    by_species: list[SpeciesScores]
    #: Over all pairs of a penguin and a species (micro-average).
    roc: Roc
    algorithm: str
    hyper_parameters: dict[str, str]
    #: Share of each feature in the model's decisions; empty where the model has none.
    importances: dict[str, float]
    library_versions: dict[str, str]

    @property
    def species(self) -> list[str]:
        """Names of the species, in the order of `confusion`."""
        return [scores.name for scores in self.by_species]

    @property
    def rows(self) -> int:
        """Number of test rows."""
        return sum(map(sum, self.confusion))

    @property
    def metrics(self) -> dict[str, float]:
        """The figures to compare runs by; `macro` is the plain mean over the species."""
        count = len(self.by_species)
        return {
            "accuracy": self.accuracy,
            "macro_f1": sum(scores.f1 for scores in self.by_species) / count,
            "macro_precision": sum(scores.precision for scores in self.by_species) / count,
            "macro_recall": sum(scores.recall for scores in self.by_species) / count,
            "macro_roc_auc": sum(scores.roc.area for scores in self.by_species) / count,
            "log_loss": self.log_loss,
            "test_rows": self.rows,
        }
