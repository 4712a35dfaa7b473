"""A pipeline of the component my-name alone, to try it."""

from kfp import dsl

# isort: split
from component import my_name


@dsl.pipeline(name="my-name")
def try_my_name(text: str = "to be or not to be") -> None:
    """Count the words of a text.

    Args:
        text: The text, with at least one word.
    """
    my_name(text=text)
