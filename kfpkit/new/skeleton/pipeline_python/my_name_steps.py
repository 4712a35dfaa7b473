"""What the steps of my-name do: plain Python, which its tests call without kfp.

A task gets the source of the functions that pipeline.py names, and nothing else of this
file: a function imports what it needs inside itself.
"""


def write_data(file: str, rows: int, seed: int) -> None:
    """Write points near the line y = 2 x + 1 as CSV, with the columns x and y.

    Args:
        file: The file to write.
        rows: Number of points, at least 2.
        seed: The same seed gives the same points.
    """
    import csv
    import random

    if rows < 2:
        raise ValueError(f"rows is {rows}; give at least 2")
    chance = random.Random(seed)
    with open(file, "w", encoding="utf-8", newline="") as out:
        table = csv.writer(out)
        table.writerow(["x", "y"])
        table.writerows([x, 2 * x + 1 + chance.gauss(0, 1)] for x in range(rows))


def fit_line(data: str, model: str) -> float:
    """Fit a line to points by least squares, and return the mean absolute error.

    Args:
        data: CSV file with the columns x and y.
        model: Takes the line's slope and intercept as JSON.
    """
    import csv
    import json
    import statistics

    with open(data, encoding="utf-8", newline="") as file:
        points = [(float(row["x"]), float(row["y"])) for row in csv.DictReader(file)]
    slope, intercept = statistics.linear_regression(*zip(*points, strict=True))
    with open(model, "w", encoding="utf-8") as out:
        json.dump({"slope": slope, "intercept": intercept}, out)
    return statistics.mean(abs(y - slope * x - intercept) for x, y in points)
