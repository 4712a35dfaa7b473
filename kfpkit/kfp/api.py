"""The KFP API: its one client, whose errors are the kit's, one line each."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import yaml

from kfpkit.core.errors import KitError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Seconds that an answer may take.
TIMEOUT = 60

#: The most that the API lists at once.
PAGE = 200

#: The API's number of the operation, as `kfp.Client` sends it.
_EQUALS = 1


class RefusedError(KitError):
    """The API answers, but does not do as asked; with its HTTP status."""

    def __init__(self, what: str, status: int) -> None:
        self.status = status
        super().__init__(what)


class Client:
    """The API's calls that the kit makes.

    They are those of `kfp.Client`, by its names and with its answers, which are the objects of
    `kfp_server_api`. `kfp.Client` itself takes seconds to import. Each call raises `RefusedError`
    where the API refuses it, and `KitError` where it does not answer.

    Args:
        host: Address of the API.
        timeout: Whole seconds that an answer may take; what changes nothing is asked twice.
    """

    def __init__(self, host: str, timeout: int = TIMEOUT) -> None:
        import kfp_server_api as server
        from urllib3 import Retry

        self._host = host.rstrip("/")
        self._timeout = timeout
        configuration = server.Configuration(host=self._host)
        configuration.retries = Retry(1)  # The server may have closed a connection that was kept.
        transport = server.ApiClient(configuration)
        self._send = transport.request
        transport.request = self._request
        self._server = server
        self._health = server.HealthzServiceApi(transport)
        self._experiments = server.ExperimentServiceApi(transport)
        self._pipelines = server.PipelineServiceApi(transport)
        self._uploads = server.PipelineUploadServiceApi(transport)
        self._runs = server.RunServiceApi(transport)
        self._recurring = server.RecurringRunServiceApi(transport)

    def check(self) -> None:
        """Raise unless the API says that it is healthy."""
        self._health.healthz_service_get_healthz()

    def create_experiment(self, name: str) -> Any:
        """Return the experiment of this name, made if it is not there."""
        page = self._experiments.experiment_service_list_experiments(filter=_named(name))
        if page.experiments:
            return page.experiments[0]
        return self._experiments.experiment_service_create_experiment(
            self._server.V2beta1Experiment(display_name=name)
        )

    def get_pipeline_id(self, name: str) -> str | None:
        """Return the ID of the pipeline of this name; None where there is none."""
        page = self._pipelines.pipeline_service_list_pipelines(filter=_named(name))
        return str(page.pipelines[0].pipeline_id) if page.pipelines else None

    def upload_pipeline(self, file: str, name: str, *, description: str) -> Any:
        """Upload a compiled pipeline as a new one; it has one version, named as it is."""
        return self._uploads.upload_pipeline(file, name=name, description=description)

    def upload_pipeline_version(self, file: str, name: str, *, pipeline_id: str) -> Any:
        """Upload a compiled pipeline as a version of one that is there."""
        return self._uploads.upload_pipeline_version(file, name=name, pipelineid=pipeline_id)

    def list_pipeline_versions(self, pipeline_id: str, **page: Any) -> Any:
        """Return a page of a pipeline's versions; `page_size`, `page_token`, `sort_by`."""
        return self._pipelines.pipeline_service_list_pipeline_versions(pipeline_id, **page)

    def get_pipeline_version(self, pipeline_id: str, version_id: str) -> Any:
        """Return a version of a pipeline."""
        return self._pipelines.pipeline_service_get_pipeline_version(pipeline_id, version_id)

    def run_pipeline(self, experiment_id: str, job_name: str, **made_from: Any) -> Any:
        """Create a run.

        Args:
            experiment_id: Takes it.
            job_name: Its display name.
            made_from: `params`, `pipeline_root` if it is another than the installation's, and
                either `pipeline_id` and `version_id` or `pipeline_package_path`, a compiled
                pipeline's file.
        """
        return self._runs.run_service_create_run(
            self._server.V2beta1Run(
                experiment_id=experiment_id, display_name=job_name, **self._job(**made_from)
            )
        )

    def get_run(self, run_id: str) -> Any:
        """Return a run."""
        return self._runs.run_service_get_run(run_id)

    def run_state(self, run_id: str) -> str:
        """Return how a run stands; to make objects of all of one of 100 tasks takes 0.15 s."""
        answer = self._runs.run_service_get_run(run_id, _preload_content=False)
        return str(json.loads(answer.data).get("state", ""))

    def list_runs(self, **page: Any) -> Any:
        """Return a page of the runs; as `list_pipeline_versions`, and `experiment_id`.

        Each is a dictionary: to make objects of a hundred takes a second.
        """
        answer = self._runs.run_service_list_runs(_preload_content=False, **page)
        lacking = {"runs": [], "next_page_token": "", "total_size": 0}
        return SimpleNamespace(**lacking | json.loads(answer.data))

    def all_runs(self) -> Iterator[dict[str, Any]]:
        """Yield every run as a dictionary."""
        return _all(self.list_runs, "runs")

    def terminate_run(self, run_id: str) -> Any:
        """Tell a run to end."""
        return self._runs.run_service_terminate_run(run_id)

    def delete_run(self, run_id: str) -> Any:
        """Delete a run."""
        return self._runs.run_service_delete_run(run_id)

    def create_recurring_run(
        self,
        experiment_id: str,
        job_name: str,
        *,
        description: str,
        cron_expression: str | None,
        interval_second: int | None,
        max_concurrency: int,
        no_catchup: bool,
        **made_from: Any,
    ) -> Any:
        """Create a recurring run that is enabled; `made_from` as for `run_pipeline`."""
        server = self._server
        due = (
            server.V2beta1Trigger(cron_schedule=server.V2beta1CronSchedule(cron=cron_expression))
            if cron_expression
            else server.V2beta1Trigger(
                periodic_schedule=server.V2beta1PeriodicSchedule(interval_second=interval_second)
            )
        )
        return self._recurring.recurring_run_service_create_recurring_run(
            server.V2beta1RecurringRun(
                experiment_id=experiment_id,
                display_name=job_name,
                description=description,
                mode=server.RecurringRunMode.ENABLE,
                trigger=due,
                max_concurrency=max_concurrency,
                no_catchup=no_catchup,
                **self._job(**made_from),
            )
        )

    def list_recurring_runs(self, **page: Any) -> Any:
        """Return a page of the recurring runs; as `list_pipeline_versions`."""
        return self._recurring.recurring_run_service_list_recurring_runs(**page)

    def all_recurring_runs(self) -> Iterator[Any]:
        """Yield every recurring run."""
        return _all(self.list_recurring_runs, "recurring_runs")

    def disable_recurring_run(self, recurring_run_id: str) -> Any:
        """Let a recurring run make no more runs."""
        return self._recurring.recurring_run_service_disable_recurring_run(recurring_run_id)

    def delete_recurring_run(self, recurring_run_id: str) -> Any:
        """Delete a recurring run."""
        return self._recurring.recurring_run_service_delete_recurring_run(recurring_run_id)

    def _request(self, method: str, url: str, **options: Any) -> Any:
        """Send a request, in the place of `ApiClient.request`."""
        from kfp_server_api.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        options["_request_timeout"] = self._timeout
        try:
            answer = self._send(method, url, **options)
            answer.data  # noqa: B018 - reads what is not read yet, which may break off
        except ApiException as error:
            asked = f"{method} {url.removeprefix(self._host)}"
            said = f"{self._host} refuses {asked}: {error.status} {_message(error)}"
            raise RefusedError(said, error.status) from error
        except HTTPError as error:
            raise _no_answer(self._host, getattr(error, "reason", None) or error) from error
        return answer

    def _job(
        self,
        params: dict[str, Any],
        pipeline_id: str | None = None,
        version_id: str | None = None,
        pipeline_package_path: str | None = None,
        pipeline_root: str = "",
    ) -> dict[str, Any]:
        """Return the fields of what makes runs that say what it runs with which parameters."""
        job = {
            "runtime_config": self._server.V2beta1RuntimeConfig(
                parameters=params, pipeline_root=pipeline_root or None
            )
        }
        if pipeline_package_path is None:
            job["pipeline_version_reference"] = self._server.V2beta1PipelineVersionReference(
                pipeline_id=pipeline_id, pipeline_version_id=version_id
            )
        else:
            job["pipeline_spec"] = _sent(read(Path(pipeline_package_path)))
        return job


def connect(host: str, timeout: int = TIMEOUT) -> Client:
    """Return a client of the API that answers.

    Args:
        host: Address of the API.
        timeout: As for `Client`.

    Raises:
        KitError: Nothing answers there as the API does.
    """
    client = Client(host, timeout)
    try:
        client.check()
    except RefusedError as error:
        raise _no_answer(host, error.what) from error
    return client


def read(file: Path) -> list[dict[str, Any]]:
    """Return the documents of a compiled pipeline: its spec, and what a platform is told if any."""
    return list(yaml.load_all(file.read_text(encoding="utf-8"), yaml.CSafeLoader))


def documents(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the same of a compiled pipeline as the API gives it back."""
    if "pipeline_spec" in spec:
        return [spec["pipeline_spec"], *filter(None, [spec.get("platform_spec")])]
    return [spec]


def _sent(compiled: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a compiled pipeline as the API takes it: what `documents` takes apart."""
    spec, *platform = compiled
    return {"pipeline_spec": spec, "platform_spec": platform[0]} if platform else spec


def _named(name: str) -> str:
    """Return the filter of a list that leaves what has this display name."""
    named = {"operation": _EQUALS, "key": "display_name", "stringValue": name}
    return json.dumps({"predicates": [named]})


def _all(listed: Callable[..., Any], field: str) -> Iterator[Any]:
    """Yield what all pages of a list have in a field."""
    token = ""
    while True:
        page = listed(page_token=token, page_size=PAGE)
        yield from getattr(page, field) or []
        token = page.next_page_token
        if not token:
            return


def _no_answer(host: str, why: object) -> KitError:
    return KitError(
        f"no Kubeflow Pipelines API answers at {host}: {why}",
        "make status looks at it; name another address with HOST=",
    )


def _message(error: Any) -> str:
    """Return the message of a refusal without the server's stack of it."""
    try:
        body = json.loads(error.body)
        return str(body.get("message") or body.get("error") or body)
    except (TypeError, ValueError, AttributeError):
        return str(error.reason)
