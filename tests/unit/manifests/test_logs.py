"""Logs of steps whose pods are gone: who writes them and who reads them name the same object."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from kfpkit.kube.render import Document


def test_the_api_server_looks_where_the_controller_writes(documents: list[Document]) -> None:
    data = {d["metadata"]["name"]: d["data"] for d in documents if d["kind"] == "ConfigMap"}
    controller = data["workflow-controller-configmap"]
    server = next(json.loads(d["config.json"]) for d in data.values() if "config.json" in d)

    written = yaml.safe_load(controller["artifactRepository"])["s3"]["keyFormat"]
    prefix = server["ARCHIVE_CONFIG_LOG_PATH_PREFIX"]

    # Argo's executor calls the file so; the rest is put together by the API server.
    assert server["ARCHIVE_CONFIG_LOG_FILE_NAME"] == "main.log"
    assert written == f"{prefix}/{{{{workflow.name}}}}/{{{{pod.name}}}}"
