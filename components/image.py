"""The image that every task of the sample runs in: the one place that names it."""

from __future__ import annotations

import os

#: Environment variable that names another image, for example one in Artifact Registry for Vertex.
#: Read when a component is imported, that is before a pipeline is compiled.
VARIABLE = "KFPKIT_RUNTIME_IMAGE"

#: The name has "python" in it: kfp's SubprocessRunner warns about any other image. The tag is the
#: Debian release that images/python-runtime is made of; with a tag other than `latest`, Kubernetes
#: takes an image that is already on the node.
DEFAULT = "kfpkit/python-runtime:bookworm"

RUNTIME_IMAGE = os.environ.get(VARIABLE) or DEFAULT
