"""Writes kfpkit/lint/descriptors/: what each release's protos know, for the linter's rules.

    .venv/bin/python scripts/descriptors.py

The descriptors are those that protoc left in the PyPI packages of the same release; they are read
from the files, not imported. To add a release: name it in RELEASES, run this, add its target to
kfpkit/lint/rule.py.
"""

from __future__ import annotations

import runpy
import tempfile
from pathlib import Path

from google.protobuf import text_format
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from kfpkit.core.process import query
from kfpkit.core.versions import ROOT
from kfpkit.images.builder import uv

RELEASES = ("2.14.3", "2.17.0")

FOLDER = ROOT / "kfpkit" / "lint" / "descriptors"

HEAD = """\
# Derived by scripts/descriptors.py from {packages} (Apache 2.0); do not edit.
"""


def main() -> None:
    """Write one file a release."""
    descriptors = runpy.run_path(str(ROOT / "images" / "kfp-go" / "prepare.py"))["descriptors"]
    for release in RELEASES:
        packages = [f"kfp-pipeline-spec=={release}", f"kfp-kubernetes=={release}"]
        with tempfile.TemporaryDirectory() as folder:
            query([uv(), "pip", "install", "--quiet", "--no-deps", "--target", folder, *packages])
            files = sorted(descriptors(Path(folder)), key=lambda file: file.name, reverse=True)
        text = text_format.MessageToString(FileDescriptorSet(file=files))
        head = HEAD.format(packages=" and ".join(packages))
        (FOLDER / f"{release}.txtpb").write_text(head + text, encoding="utf-8")


if __name__ == "__main__":
    main()
