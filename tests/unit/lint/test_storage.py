"""Each rule on storage and network: pipelines that break it, and their neighbours that do not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kfpkit.kfp import pipelines
from kfpkit.lint import check
from kfpkit.lint.finding import Severity
from kfpkit.lint.rule import KFP_2_14_3, KFP_2_17_0, LOCAL, VERTEX
from kfpkit.lint.storage import RULES
from tests.support.lint_pipelines import code, command, importer, pipeline, task

if TYPE_CHECKING:
    from pathlib import Path

W, E = Severity.WARNING, Severity.ERROR

#: Keys that no scanner takes for real ones: they are put together here.
AWS = "AKIA" + "Q3EGRIZ7KD5WX2TP"
GITHUB = "ghp_" + "a1B2" * 9
SLACK = "xoxb-" + "123456789012-abcdefGHIJKL"
KEY = "-----BEGIN " + "PRIVATE KEY-----\nMIIEvQ\n-----END PRIVATE KEY-----"


def image(name: str) -> Any:
    return pipeline({"a": task(command("true", image=name))})


def given(value: Any, **more: Any) -> Any:
    return pipeline({"a": task(code("def f(x): ..."), {"x": value})}, **more)


def default(value: Any, name: str = "x") -> Any:
    return pipeline({"a": task()}, {name: value})


def source(text: str, **more: Any) -> Any:
    return pipeline({"a": task(code(text, **more))})


def imported(uri: str, title: str = "system.Dataset") -> Any:
    return pipeline({"a": task(importer({"constant": uri}, title), artifacts=("artifact",))})


def importing(value: Any, defaults: Any = None) -> Any:
    found = task(importer({"runtimeParameter": "uri"}), {"uri": value}, artifacts=("artifact",))
    return pipeline({"a": found}, defaults)


def pair(first: str, second: str, inputs: Any = None, **more: Any) -> Any:
    """Two tasks: what the first returns, the second gets as `path`."""
    return pipeline(
        {
            "first": task(code(first), outputs=("Output",)),
            "second": task(code(second), {"path": {"from": "first"}, **(inputs or {})}),
        },
        **more,
    )


WRITES = """
def first() -> str:
    with open('/tmp/data.csv', 'w') as file:
        file.write('1')
    return '/tmp/data.csv'
"""
READS = """
def second(path: str):
    print(open(path).read())
"""
PRINTS = """
def second(path: str):
    print(path, open('/tmp/other.csv').read())
"""
SCRATCH = """
def {}(path: str = '') -> str:
    with open('/tmp/scratch', 'w') as file:
        file.write('1')
    return open('/tmp/scratch').read()
"""
FETCHES = """
def first(url: str = 'https://example.com/a.csv') -> str:
    import os, urllib.request
    local = '/tmp/' + os.path.basename(url)
    urllib.request.urlretrieve(url, local)
    return local
"""
NAMED = """
def first() -> NamedTuple('Outputs', [('score', str), ('path', str)]):
    from collections import namedtuple
    import torch
    torch.save({}, '/tmp/model.pt')
    return namedtuple('Outputs', ['score', 'path'])('1', '/tmp/model.pt')
"""
KEYWORDS = NAMED.replace("[('score', str), ('path', str)]", "path=str, score=str").replace(
    "('1', '/tmp/model.pt')", "(score='1', path='/tmp/model.pt')"
)


def named(first: str, output: str = "path") -> Any:
    return pipeline(
        {
            "first": task(code(first), outputs=("path", "score")),
            "second": task(code(PRINTS), {"path": {"from": f"first.{output}"}}),
        }
    )


INSIDE = pipeline(
    {
        "first": task(code(WRITES), outputs=("Output",)),
        "loop": task(
            inputs={"given": {"from": "first"}, "pipelinechannel--n": 1},
            graph={"second": task(code(READS), {"path": {"parameter": "given"}})},
            component="for-loop-1",
        ),
    }
)
HOME = {"pvcMount": [{"mountPath": "/home/ada", "constant": "claim"}]}
MOUNTED = {"pvcMount": [{"mountPath": "/tmp", "constant": "claim"}]}  # noqa: S108

#: By rule: the target, the pipeline, the severity, and words of the message.
BROKEN: list[tuple[str, str, Any, Severity, str]] = [
    ("import-uri", VERTEX, imported("s3://bucket/data.csv"), W, "'s3://bucket/data.csv'"),
    ("import-uri", VERTEX, imported("minio://mlpipeline/data.csv"), W, "mounts gs:// only"),
    ("import-uri", VERTEX, imported("/data/a.csv"), W, "'/data/a.csv'"),
    ("import-uri", KFP_2_14_3, imported("/data/a.csv"), E, "in no store"),
    ("import-uri", KFP_2_17_0, imported("https://example.com/a.csv"), E, "in no store"),
    ("import-uri", KFP_2_17_0, imported("file:///data/a.csv"), E, "in no store"),
    ("import-uri", KFP_2_17_0, imported("oci://registry.io/model:1"), E, "only a Model"),
    ("import-uri", KFP_2_14_3, imported("minio://other/a.csv"), W, "bucket mlpipeline"),
    ("import-uri", VERTEX, importing("s3://bucket/a"), W, "s3://bucket/a"),
    ("import-uri", VERTEX, importing({"parameter": "u"}, {"u": "s3://b/é"}), W, "'s3://b/é'"),
    ("foreign-store", VERTEX, default("s3://bucket/data"), W, "parameter 'x' is 's3://bucket"),
    ("foreign-store", VERTEX, given(["minio://bucket/a"]), W, "input 'x'"),
    ("foreign-store", VERTEX, given({"model": "oci://registry.io/model:1"}), W, "oci://"),
    ("foreign-store", VERTEX, default("s3://user:pass@bucket/data"), W, "s3://…@bucket"),
    ("local-path", KFP_2_14_3, default("/home/ada/data.csv"), W, "'/home/ada/data.csv'"),
    ("local-path", VERTEX, given("/Users/ada/my data.csv"), W, "/Users/ada/my data.csv"),
    ("local-path", KFP_2_17_0, given("C:\\data\\a.csv"), W, "C:"),
    ("local-path", KFP_2_17_0, given("file:///srv/a.csv"), W, "file:///srv/a.csv"),
    ("local-path", KFP_2_17_0, given(["./data/a.csv"]), W, "./data/a.csv"),
    ("mounted-path", KFP_2_14_3, given("/s3/bucket/a.csv"), W, "'/s3/bucket/a.csv'"),
    ("mounted-path", LOCAL, source("def f():\n    open('/s3/bucket/a.csv')"), W, "its code"),
    ("mounted-path", VERTEX, given("/minio/mlpipeline/a.csv"), W, "/minio"),
    ("handed-path", KFP_2_14_3, pair(WRITES, READS), W, "returns '/tmp/data.csv'"),
    ("handed-path", VERTEX, pair(WRITES, READS), W, "second takes it"),
    ("handed-path", KFP_2_17_0, INSIDE, W, "loop/second takes it"),
    ("handed-path", KFP_2_14_3, pair(FETCHES, READS), W, "'/tmp/…'"),
    ("handed-path", KFP_2_17_0, named(NAMED), W, "'/tmp/model.pt'"),
    ("handed-path", KFP_2_14_3, named(KEYWORDS), W, "'/tmp/model.pt'"),
    (
        "handed-path",
        KFP_2_14_3,
        pair(
            """
            def first() -> str:
                import os, joblib
                target = os.path.join('/data', 'model.joblib')
                os.makedirs('/data', exist_ok=True)
                joblib.dump({}, target)
                return target
            """,
            "def second(path):\n    import joblib\n    joblib.load(path)",
        ),
        W,
        "'/data/model.joblib'",
    ),
    (
        "handed-path",
        KFP_2_14_3,
        pair(
            """
            def first() -> str:
                import tempfile
                from pathlib import Path
                folder = Path(tempfile.mkdtemp())
                (folder / 'a.csv').write_text('1')
                return str(folder / 'a.csv')
            """,
            "def second(path):\n    import pandas as pd\n    pd.read_csv(path)",
        ),
        W,
        "'/tmp/…'",
    ),
    (
        "handed-path",
        KFP_2_14_3,
        pipeline(
            {
                "first": task(
                    code("def first(model: Output[Model]) -> str:\n    return model.path"),
                    outputs=("Output",),
                    artifacts=("model",),
                ),
                "second": task(code(READS), {"path": {"from": "first"}}),
            }
        ),
        W,
        "'/…/model'",
    ),
    (
        "handed-path",
        KFP_2_17_0,
        pipeline(
            {
                "first": task(
                    code("def first(path: str):\n    df = 1\n    df.to_csv(path)"),
                    {"path": "/work/a.csv"},
                ),
                "second": task(
                    code("def second(path: str):\n    import pandas\n    pandas.read_csv(path)"),
                    {"path": "/work/a.csv"},
                    dependentTasks=["first"],
                ),
            }
        ),
        W,
        "reads '/work/a.csv', which first writes",
    ),
    ("pipeline-root", VERTEX, given(1, defaultPipelineRoot="minio://a/b"), W, "no gs://"),
    ("pipeline-root", VERTEX, given(1, defaultPipelineRoot="gs://a/b"), W, "'gs://a/b'"),
    ("pipeline-root", KFP_2_14_3, given(1, defaultPipelineRoot="gs://a/b"), W, "web UI"),
    (
        "cluster-address",
        KFP_2_14_3,
        default("http://minio.ns.svc.cluster.local:9000"),
        W,
        "minio.n",
    ),
    ("cluster-address", VERTEX, given("minio-service.kubeflow:9000"), W, "minio-service.kubeflow"),
    ("cluster-address", LOCAL, given("postgres.db.svc:5432"), W, "postgres.db.svc"),
    ("cluster-address", VERTEX, given({"url": "http://10.1.2.3/api"}), W, "10.1.2.3"),
    ("cluster-address", KFP_2_17_0, given("192.168.1.20"), W, "192.168.1.20"),
    ("cluster-address", KFP_2_17_0, given("http://localhost:5000"), W, "localhost"),
    ("cluster-address", VERTEX, given("https://host.docker.internal/x"), W, "host.docker"),
    (
        "cluster-address",
        KFP_2_14_3,
        source("def f(port):\n    import requests\n    requests.get(f'http://localhost:{port}')"),
        W,
        "its code names localhost",
    ),
    (
        "cluster-address",
        VERTEX,
        source("def f(): ...", env=[{"name": "DB", "value": "mysql.kubeflow:3306"}]),
        W,
        "variable 'DB' names mysql.kubeflow",
    ),
    (
        "cluster-address",
        VERTEX,
        pipeline({"a": task(command("sh", "-c", "# why\ncurl http://mlflow.ml.svc/api"))}),
        W,
        "its command names mlflow.ml.svc",
    ),
    ("unreachable-image", VERTEX, image("localhost:5001/train:1"), E, "this machine"),
    ("unreachable-image", KFP_2_14_3, image("localhost:5001/train:1"), W, "this machine"),
    ("unreachable-image", VERTEX, image("kind.local/train:1"), E, "kind.local"),
    ("unreachable-image", VERTEX, image("10.0.0.7:5000/train:1"), E, "10.0.0.7"),
    ("unreachable-image", VERTEX, image("registry.ci.svc.cluster.local:5000/a:1"), E, "svc"),
    ("unreachable-image", VERTEX, image("train:1.0"), W, "Docker Hub"),
    ("unreachable-image", VERTEX, image("kfpkit/python-runtime:1.0"), W, "Docker Hub"),
    ("moving-tag", KFP_2_14_3, image("python"), W, "no tag"),
    ("moving-tag", VERTEX, image("europe-docker.pkg.dev/p/r/train:latest"), W, "'latest'"),
    ("moving-tag", KFP_2_17_0, image("localhost:5000/train"), W, "no tag"),
    ("moving-tag", KFP_2_17_0, image("train:main"), W, "'main'"),
    ("moving-tag", KFP_2_17_0, image("pytorch/pytorch:2-latest"), W, "latest"),
    ("one-platform", KFP_2_14_3, image("amd64/python:3.11"), W, "amd64 only"),
    ("one-platform", VERTEX, image("docker.io/arm64v8/python:3.11"), E, "arm64v8 only"),
    ("one-platform", VERTEX, image("ghcr.io/o/train:1.2-arm64"), E, "arm64 only"),
    ("credentials", KFP_2_14_3, given(AWS), W, "a key of AWS"),
    ("credentials", VERTEX, source(f"def f():\n    token = '{GITHUB}'"), W, "a token of GitHub"),
    ("credentials", LOCAL, default({"slack": SLACK}), W, "a token of Slack"),
    ("credentials", VERTEX, default(f'{{"type": "service_account", "k": "{KEY}"}}'), W, "private"),
    ("credentials", KFP_2_17_0, default("hunter2!", "db_password"), W, "'db_password'"),
    (
        "credentials",
        KFP_2_17_0,
        source(
            "def f(): ...", env=[{"name": "AWS_SECRET_ACCESS_KEY", "value": "abc/" + "x9" * 18}]
        ),
        W,
        "'AWS_SECRET_ACCESS_KEY'",
    ),
    (
        "credentials",
        KFP_2_17_0,
        source("def f():\n    import db\n    db.connect(password='s3cr3t-Word')"),
        W,
        "'password'",
    ),
    (
        "credentials",
        KFP_2_17_0,
        source("def f():\n    url = 'postgresql://ada:Tr0ub4dor@db/x'"),
        W,
        "a password in an address",
    ),
    (
        "credentials",
        KFP_2_17_0,
        pipeline({"a": task(command("mc", "alias", "--password=Tr0ub4dor"))}),
        W,
        "a password in an address or a setting",
    ),
]

DOCUMENTED = '''
def f(x: str):
    """Reads s3://bucket/a from http://minio.ns.svc:9000 with password=hunter22.

    Formerly open('/s3/bucket/a.csv') at 10.0.0.1:9000.
    """
    # token = "ghp_a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2", http://localhost:5000
    "AKIAQ3EGRIZ7KD5WX2TP"
    return x
'''

SERVES = """
def f():
    import requests, subprocess
    subprocess.Popen(['serve'])
    requests.get('http://localhost:8000')
"""
TOKENS = """
def f(tokenizer, user, word):
    import os
    tokenizer.pad_token = '<pad>'
    more = dict(eos_token='[END]', secret_name='a-b-c', token_type='Bearer')
    token = os.environ['HF_TOKEN']
    secret_key = 'SECRET_KEY_ENV'
    url = f'postgresql://{user}:{word}@db/x'
    flag = f'--password={word}'
"""

#: By rule: the target and a pipeline that keeps it.
KEPT: list[tuple[str, str, Any]] = [
    ("import-uri", VERTEX, imported("gs://bucket/data.csv")),
    ("import-uri", KFP_2_14_3, imported("minio://mlpipeline/a.csv")),
    ("import-uri", KFP_2_17_0, imported("minio://other/a.csv")),
    ("import-uri", KFP_2_14_3, imported("s3://bucket/a.csv")),
    ("import-uri", KFP_2_17_0, imported("oci://registry.io/model:1", "system.Model")),
    ("import-uri", KFP_2_17_0, importing({"parameter": "u"}, {"u": ""})),
    ("foreign-store", VERTEX, default("gs://bucket/data")),
    ("foreign-store", VERTEX, default("The s3://… scheme is not mounted")),
    ("foreign-store", VERTEX, source(DOCUMENTED)),
    ("local-path", KFP_2_14_3, given("/data/a.csv")),
    ("local-path", KFP_2_14_3, given("/home/ada/a", platform={"a": HOME})),
    ("local-path", KFP_2_17_0, given("..")),
    ("local-path", KFP_2_17_0, given("~")),
    ("mounted-path", VERTEX, given("/gcs/bucket/a.csv")),
    ("mounted-path", KFP_2_14_3, given("/s3fuse/a.csv")),
    ("mounted-path", KFP_2_14_3, source(DOCUMENTED)),
    ("handed-path", KFP_2_14_3, pair(WRITES, READS, platform={"first": MOUNTED})),
    ("handed-path", KFP_2_14_3, pair("def first() -> str:\n    return 'gs://b/a.csv'", READS)),
    ("handed-path", KFP_2_14_3, pair("def first() -> str:\n    return '/api/v1'", PRINTS)),
    ("handed-path", KFP_2_14_3, pair("def first() -> str:\n    return 'done'", READS)),
    ("handed-path", KFP_2_17_0, named(NAMED, "score")),
    ("handed-path", KFP_2_17_0, pair(FETCHES.replace("return local", "return url"), PRINTS)),
    ("handed-path", KFP_2_14_3, pair(WRITES.replace("return '/", "return 'gs://"), PRINTS)),
    ("handed-path", KFP_2_17_0, pair(SCRATCH.format("first"), SCRATCH.format("second"))),
    ("handed-path", VERTEX, pair(WRITES.replace("/tmp", "/gcs/b"), READS)),  # noqa: S108
    ("pipeline-root", VERTEX, given(1)),
    ("cluster-address", KFP_2_14_3, given("https://storage.googleapis.com/a.b.csv")),
    ("cluster-address", KFP_2_14_3, given("1.2.3.4")),
    ("cluster-address", KFP_2_14_3, given("10.0.0.0/8")),
    ("cluster-address", KFP_2_14_3, default("10.2.0.1", "cuda_version")),
    ("cluster-address", KFP_2_14_3, given("sklearn.svm.SVC")),
    ("cluster-address", KFP_2_14_3, given("the localhost of a task")),
    ("cluster-address", LOCAL, given("http://localhost:5000")),
    ("cluster-address", KFP_2_14_3, source(DOCUMENTED)),
    ("cluster-address", KFP_2_14_3, source(SERVES)),
    ("cluster-address", KFP_2_14_3, source("def f(app):\n    app.run('0.0.0.0:8000')")),
    ("cluster-address", KFP_2_14_3, pipeline({"a": task(command("sh", "# http://a.b.svc\nls"))})),
    ("unreachable-image", KFP_2_14_3, image("kfpkit/python-runtime:1.0")),
    ("unreachable-image", VERTEX, image("python:3.11")),
    ("unreachable-image", VERTEX, image("python@sha256:" + "0" * 64)),
    ("unreachable-image", VERTEX, image("tensorflow/tensorflow:2.16.1")),
    ("unreachable-image", VERTEX, image("europe-docker.pkg.dev/p/r/train:1")),
    ("unreachable-image", VERTEX, image("{{$.inputs.parameters['pipelinechannel--image']}}")),
    ("unreachable-image", VERTEX, image("argostub/createpvc")),
    ("moving-tag", KFP_2_14_3, image("python:3.11-slim")),
    ("moving-tag", KFP_2_14_3, image("localhost:5000/train@sha256:" + "0" * 64)),
    ("moving-tag", KFP_2_14_3, image("argostub/createpvc")),
    ("moving-tag", KFP_2_14_3, image("{{$.inputs.parameters['pipelinechannel--image']}}")),
    ("one-platform", VERTEX, image("amd64/python:3.11")),
    ("one-platform", KFP_2_14_3, image("ghcr.io/o/amd64-tools:1")),
    ("credentials", KFP_2_14_3, source(DOCUMENTED)),
    ("credentials", KFP_2_14_3, given("AKIA" + "IOSFODNN7EXAMPLE")),
    ("credentials", KFP_2_14_3, default("", "password")),
    ("credentials", KFP_2_14_3, default("{{$.inputs.parameters['p']}}", "token")),
    ("credentials", KFP_2_14_3, default("my-db-credentials", "secret")),
    ("credentials", KFP_2_14_3, default("changeme", "password")),
    ("credentials", KFP_2_14_3, source(TOKENS)),
    # A default is among the constants of the IR, and only if a task takes it.
    ("credentials", KFP_2_14_3, source("def f(password: str = 'hunter2!'): ...")),
    ("credentials", KFP_2_14_3, source("def f():\n    password = '/var/run/secrets/db'")),
    ("credentials", KFP_2_14_3, pipeline({"a": task(command("mc", "--password=$PASSWORD"))})),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "target", "documents", "severity", "words"), BROKEN)
def test_breaks(
    rule: str, target: str, documents: Any, severity: Severity, words: str, tmp_path: Path
) -> None:
    found = findings(documents, target, rule, tmp_path)
    assert len(found) == 1, found
    assert found[0].severity == severity
    assert words in found[0].message
    assert found[0].path
    assert found[0].line


@pytest.mark.parametrize(("rule", "target", "documents"), KEPT)
def test_keeps(rule: str, target: str, documents: Any, tmp_path: Path) -> None:
    assert findings(documents, target, rule, tmp_path) == []


def test_every_rule_is_tried() -> None:
    ids = {rule.id for rule in RULES}
    assert ids == {row[0] for row in BROKEN} == {row[0] for row in KEPT}


def test_a_secret_is_not_shown(tmp_path: Path) -> None:
    for secret in (AWS, GITHUB, SLACK, "MIIEvQ", "hunter2!", "Tr0ub4dor", "s3cr3t-Word"):
        for rule, target, documents, _, _ in BROKEN:
            if rule == "credentials":
                assert secret not in str(findings(documents, target, rule, tmp_path))


def test_code_is_found_in_its_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from kfp import dsl\n\n\n"
        "@dsl.component(base_image='python:3.11.9')\n"
        "def reads() -> str:\n"
        "    # http://minio.ns.svc:9000 in a comment\n"
        "    url = 'http://minio.ns.svc:9000'\n"
        "    return url\n\n\n"
        "@dsl.pipeline\n"
        "def mine():\n"
        "    reads()\n"
    )
    found = [
        one for one in check(pipelines.find(str(file)), KFP_2_14_3) if one.rule == "cluster-address"
    ]
    assert [(one.file, one.line, one.task) for one in found] == [(file, 7, "reads")]


def findings(documents: Any, target: str, rule: str, folder: Path) -> list[Any]:
    file = folder / "small.yaml"
    file.write_text(yaml.safe_dump_all(documents, allow_unicode=True), encoding="utf-8")
    return [one for one in check(file, target) if one.rule == rule]
