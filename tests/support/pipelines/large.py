"""A large artifact, written by one task and read by the next."""

from kfp import dsl

from components.image import RUNTIME_IMAGE


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def write(mebibytes: int, data: dsl.Output[dsl.Artifact]) -> str:
    """Write so many MiB, no two of them the same; return their SHA-256."""
    import hashlib
    import random

    digest = hashlib.sha256()
    block = random.Random(0).randbytes(2**20 - 8)
    with open(data.path, "wb") as file:
        for number in range(mebibytes):
            for part in (number.to_bytes(8, "big"), block):
                file.write(part)
                digest.update(part)
    return digest.hexdigest()


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def check(data: dsl.Input[dsl.Artifact], sha256: str) -> None:
    import hashlib

    with open(data.path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()
    if found != sha256:
        raise ValueError(f"{size} bytes with the hash {found}, not {sha256}")
    print(f"{size} bytes with the hash {found}")


@dsl.pipeline(name="large")
def large(mebibytes: int = 1024) -> None:
    """Hand an artifact from task to task and compare its hash."""
    written = write(mebibytes=mebibytes)
    check(data=written.outputs["data"], sha256=written.outputs["Output"])
