"""Keeping a driver's log where its pod's would be: in the store that Argo's configuration names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import obstore
from obstore.exceptions import BaseError
from obstore.store import GCSStore, S3Store

if TYPE_CHECKING:
    from kfpkit.warm.api import Api
    from kfpkit.warm.drive import Job


class Logs:
    """Where logs are kept; the credentials are read once, and anew after a refusal."""

    def __init__(self, kubernetes: Api) -> None:
        self._api = kubernetes
        self._stores: dict[str, S3Store | GCSStore] = {}

    def place(self, job: Job) -> dict[str, Any] | None:
        """Return where a node's log will be, as Argo writes it; None where none are kept."""
        where = _repository(job)
        kind = next((kind for kind in ("s3", "gcs") if kind in where), "")
        if not kind or not where.get("archiveLogs"):
            return None
        form = where[kind].get("keyFormat", "{{workflow.name}}/{{pod.name}}")
        names = {"{{workflow.name}}": job.name, "{{pod.name}}": job.pod}
        for placeholder, name in names.items():
            form = form.replace(placeholder, name)
        return None if "{{" in form else {kind: {"key": f"{form}/main.log"}}

    def keep(self, job: Job, text: bytes) -> str:
        """Store a log; return why it could not be."""
        place = self.place(job)
        if place is None:
            return ""
        (kind, where), *_ = place.items()
        settings = _repository(job)[kind]
        name = f"{kind}://{settings.get('endpoint', '')}/{settings['bucket']}"
        try:
            if name not in self._stores:
                self._stores[name] = self._open(kind, settings)
            obstore.put(self._stores[name], where["key"], text)
        except (BaseError, OSError, KeyError) as error:
            self._stores.pop(name, None)
            return str(error).splitlines()[0]
        return ""

    def _open(self, kind: str, settings: dict[str, Any]) -> S3Store | GCSStore:
        if kind == "gcs":
            return GCSStore(settings["bucket"])
        options: dict[str, Any] = {"region": settings.get("region") or "us-east-1"}
        for option, key in (
            ("access_key_id", "accessKeySecret"),
            ("secret_access_key", "secretKeySecret"),
        ):
            if reference := settings.get(key):
                options[option] = self._api.secret(reference["name"], reference["key"])
        plain = settings.get("insecure", False)
        if endpoint := settings.get("endpoint"):
            options["endpoint"] = f"http{'' if plain else 's'}://{endpoint}"
        return S3Store(settings["bucket"], client_options={"allow_http": plain}, **options)


def _repository(job: Job) -> dict[str, Any]:
    reference = job.workflow.get("status", {}).get("artifactRepositoryRef", {})
    repository: dict[str, Any] = reference.get("artifactRepository", {})
    return repository
