"""A pipeline of the component my-name alone, to try it."""

from pathlib import Path

from kfp import dsl
from kfp.components import load_component_from_file

HERE = Path(__file__).parent

my_name = load_component_from_file(str(HERE / "component.yaml"))


@dsl.pipeline(name="my-name")
def try_my_name(text: str = "to be or not to be") -> None:
    """Count the words of a text.

    Args:
        text: The text, with at least one word.
    """
    my_name(text=text)
