"""What steers a run: a nested pipeline, a loop whose results are collected, a choice of three.

Tasks inside of something leave the cache off themselves: the client's `enable_caching` reaches none
of them, and 2.14.3 takes a branch whose tasks all come from the cache for one not taken.
"""

from kfp import dsl

from components.image import RUNTIME_IMAGE


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def square(number: int) -> int:
    return number * number


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def add(numbers: list[int]) -> int:
    return sum(numbers)


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def name_it(size: str) -> str:
    return size


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def conclude(total: int, size: str) -> None:
    print(f"{total} is {size}")


@dsl.pipeline(name="sum-of-squares")
def sum_of_squares(numbers: list[int]) -> int:
    """Square each number, then add them up."""
    with dsl.ParallelFor(numbers, parallelism=2) as number:
        squared = square(number=number).set_caching_options(False)
    added = add(numbers=dsl.Collected(squared.output)).set_caching_options(False)
    return added.output  # type: ignore[no-any-return]


@dsl.pipeline(name="flow")
def flow(numbers: list[int]) -> None:
    """Choose a branch by a nested pipeline's result."""
    total = sum_of_squares(numbers=numbers).output
    with dsl.If(total > 100):
        large = name_it(size="large").set_caching_options(False)
    with dsl.Elif(total > 10):
        medium = name_it(size="medium").set_caching_options(False)
    with dsl.Else():
        small = name_it(size="small").set_caching_options(False)
    size = dsl.OneOf(large.output, medium.output, small.output)
    conclude(total=total, size=size)


@dsl.pipeline(name="twins")
def twins() -> None:
    """Loop twice under one name, which is all that 2.14.3 tells a graph's loops by."""
    for size, numbers in (("small", [1, 2]), ("large", [100])):
        with dsl.ParallelFor(numbers, name="each") as number:
            conclude(total=number, size=size).set_caching_options(False)
