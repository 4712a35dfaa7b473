"""A task that fails at its first attempt and succeeds at its second."""

from kfp import dsl

from components.image import RUNTIME_IMAGE


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def fail_at_first(claim: str) -> None:
    """Fail unless an earlier attempt left its mark, a volume claim that nothing ever mounts."""
    import json
    import ssl
    from pathlib import Path
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    account = Path("/var/run/secrets/kubernetes.io/serviceaccount")
    namespace = (account / "namespace").read_text()
    url = f"https://kubernetes.default.svc/api/v1/namespaces/{namespace}/persistentvolumeclaims"
    trust = ssl.create_default_context(cafile=str(account / "ca.crt"))
    headers = {
        "Authorization": f"Bearer {(account / 'token').read_text()}",
        "Content-Type": "application/json",
    }

    def call(method: str, address: str, body: object = None) -> int:
        data = json.dumps(body).encode() if body else None
        request = Request(address, data, headers, method=method)
        try:
            with urlopen(request, context=trust, timeout=30) as answer:
                return int(answer.status)
        except HTTPError as error:
            return error.code

    mark = {
        "metadata": {"name": claim},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Mi"}},
        },
    }
    answer = call("POST", url, mark)
    if answer == 201:
        raise RuntimeError("this is the first attempt")
    if answer != 409:
        raise RuntimeError(f"Kubernetes answers {answer}")
    call("DELETE", f"{url}/{claim}")
    print("this is the second attempt")


@dsl.pipeline(name="retried-task")
def retried_task(claim: str) -> None:
    """Let KFP try again."""
    fail_at_first(claim=claim).set_retry(2, backoff_duration="1s")


@dsl.pipeline(name="retried-run")
def retried_run(claim: str) -> None:
    """Leave it to the user to try again."""
    fail_at_first(claim=claim)
