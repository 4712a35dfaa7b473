"""An installation whose database is outside the cluster, for tests without one."""

from __future__ import annotations

from typing import Any

from kfpkit.core import process
from kfpkit.kfp.target import Target
from kfpkit.kube.render import parse

DOCUMENTS = """
apiVersion: v1
kind: Namespace
metadata: {name: kubeflow}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: metadata-grpc}
spec: {template: {spec: {containers: [{name: main, image: "kfpkit/metadata:1", env: []}]}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: object-store}
data: {host: s3.example.com, port: "443", secure: "true", region: us-east-1, bucket: mlpipeline}
"""


class Outside(Target):
    """A target in whose namespace is what a test puts into `there`, by kind; `ran` changed it."""

    there: dict[str, list[dict[str, Any]]]
    ran: list[tuple[str, ...]]

    def items(self, kinds: Any, *_: str) -> list[dict[str, Any]]:
        return [item for kind in kinds for item in self.there.get(kind, [])]

    def run(self, *arguments: str, **_: Any) -> process.Result:
        self.ran.append(arguments)
        return process.Result(0, "", "")

    def query(self, *_: str, **__: Any) -> process.Result:
        return process.Result(0, "", "")


def target() -> Outside:
    made = Outside("mine", "nowhere", "kubectl")
    object.__setattr__(made, "there", {})
    object.__setattr__(made, "ran", [])
    made.__dict__["documents"] = parse(DOCUMENTS)
    return made
