"""One task: the smallest run there is."""

from kfp import dsl

from components.image import RUNTIME_IMAGE


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def greet(name: str) -> str:
    print(f"Hello, {name}.")
    return f"Hello, {name}."


@dsl.pipeline(name="hello")
def hello(name: str = "penguin") -> None:
    """Greet."""
    greet(name=name)
