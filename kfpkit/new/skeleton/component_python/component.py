"""The component my-name."""

from kfp import dsl
from kfp.dsl import Dataset, Metrics, Output

IMAGE = "my-image"


@dsl.component(
    base_image=IMAGE,
    install_kfp_package=False,
)
def my_name(
    text: str,
    counts: Output[Dataset],
    metrics: Output[Metrics],
) -> int:
    """Count the words of a text.

    A task gets the source of this function, and nothing else of this file: what it
    needs, it imports inside itself.

    Args:
        text: The text, with at least one word.
        counts: How often each word occurs, as JSON.
        metrics: How many words there are, and how many different ones.

    Returns:
        The number of words.
    """
    import json
    from collections import Counter

    words = Counter(text.split())
    if not words:
        raise ValueError("text has no word; give at least one")
    with open(counts.path, "w", encoding="utf-8") as file:
        json.dump(words, file)
    metrics.log_metric("words", words.total())
    metrics.log_metric("different_words", len(words))
    return words.total()
