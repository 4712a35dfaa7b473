"""Rules on storage and network: what a pipeline names that another place does not have."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kfpkit.core.urls import without_password
from kfpkit.lint import paths
from kfpkit.lint.finding import Severity
from kfpkit.lint.rule import ALL, KFP_2_14_3, LOCAL, REMOTE, VERTEX, Hit, Rule
from kfpkit.lint.texts import CHANNEL, STUBS, Text, constants, inputs, parameters, texts
from kfpkit.runs.parameters import parts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kfpkit.lint.subject import Subject

#: What the importer of both releases takes (backend/src/v2/objectstore/config.go, and
#: component/importer_launcher.go for `oci`).
_IMPORTED = ("gs://", "s3://", "minio://", "mem://", "oci://")

#: Stores that Vertex AI does not mount: it has Cloud Storage alone.
_NOT_GOOGLE = re.compile(r"(?:s3a?|minio|oci|hdfs|abfss?|wasbs?|az|mem)://")

#: Paths that only one machine has, or one notebook.
_PERSONAL = re.compile(r"(?:file://|/home/|/Users/|/root/|/content/|~/|\.\.?/|[A-Za-z]:\\)")

#: Where KFP puts the files of artifacts in other stores than Cloud Storage.
_MOUNT = re.compile(r"/(s3|minio)/[\w.-]")

_SERVICE = re.compile(
    r"(?<![\w.-])[a-z0-9][a-z0-9-]*\.[a-z0-9-]+\.svc(?:\.[a-z0-9-]+)*(?![\w-])"
    r"|(?<![\w.-])[a-z0-9][a-z0-9-]*\.kubeflow(?=:\d)"
)
_HOST = re.compile(
    r"(?:^|//|@)(?P<host>localhost|127(?:\.\d{1,3}){3}|\[?::1\]?"
    r"|host\.(?:docker|minikube|k3d|lima)\.internal)(?=[:/]|$)"
)
_ADDRESS = re.compile(
    r"(?:(?:^|//|@)(?P<any>\d{1,3}(?:\.\d{1,3}){3})(?=:\d)|//(?P<url>\d{1,3}(?:\.\d{1,3}){3})(?=/|$)"
    r"|^(?P<private>(?:10|192\.168|172\.(?:1[6-9]|2\d|3[01]))(?:\.\d{1,3}){2,3})$)"
)

#: Code that may itself have started what it asks at localhost.
_SERVES = re.compile(
    r"\b(?:subprocess|threading|multiprocessing|uvicorn|http\.server|asyncio|bind|MASTER_ADDR)\b"
)

#: Images of Docker Hub that have no account before their name, and accounts that publish there.
_OFFICIAL = frozenset(
    [
        "almalinux",
        "alpine",
        "amazoncorretto",
        "amazonlinux",
        "bash",
        "buildpack-deps",
        "busybox",
        "centos",
        "debian",
        "docker",
        "eclipse-temurin",
        "elasticsearch",
        "fedora",
        "gcc",
        "golang",
        "gradle",
        "httpd",
        "julia",
        "mariadb",
        "maven",
        "memcached",
        "mongo",
        "mysql",
        "nginx",
        "node",
        "openjdk",
        "perl",
        "php",
        "postgres",
        "pypy",
        "python",
        "r-base",
        "redis",
        "rockylinux",
        "ruby",
        "rust",
        "spark",
        "ubuntu",
    ]
)
_PUBLISHERS = frozenset(
    [
        "apache",
        "bitnami",
        "condaforge",
        "continuumio",
        "google",
        "huggingface",
        "intel",
        "jupyter",
        "library",
        "mambaorg",
        "nvidia",
        "pytorch",
        "rapidsai",
        "rayproject",
        "rocker",
        "tensorflow",
        "vllm",
    ]
)

_HERE_ONLY = re.compile(
    r"(?:localhost|127\.[\d.]+|kind-registry|registry|(?:kind|ko|dev|k3d)\.local"
    r"|[\w.-]+\.(?:local|internal|localhost)|[\w.-]+\.svc(?:\.[\w.-]+)?"
    r"|(?:10|192\.168|172\.(?:1[6-9]|2\d|3[01]))(?:\.\d+){2,3})(?::\d+)?"
)

#: Architectures in an image's account or at the end of its tag.
_PLATFORM = re.compile(
    r"(?:^|/)(amd64|i386|arm32v[5-7]|arm64v8|ppc64le|s390x|riscv64)/"
    r"|[:_.-](?:linux[_.-])?(amd64|x86_64|arm64|aarch64|armv7|ppc64le|s390x)$"
)

#: Keys by their form. A text that matches is a secret whatever its name is.
_KEYS = {
    "a key of AWS": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "an API key of Google": r"\bAIza[\w-]{35}",
    "an HMAC key of Google": r"\bGOOG1?[0-9A-Z]{20,60}\b",
    "a token of GitHub": r"\b(?:gh[opsru]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{22,})",
    "a token of GitLab": r"\bglpat-[\w-]{20,}",
    "a token of Slack": r"\bxox[abeprs]-[A-Za-z0-9-]{10,}|hooks\.slack\.com/services/T\w+/B\w+/\w+",
    "a token of Hugging Face": r"\bhf_[A-Za-z0-9]{30,}",
    "an API key": r"\bsk-(?=[\w-]*\d)[\w-]{20,}",
    "a JSON Web Token": r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]+",
}
_SHAPES = [(kind, re.compile(pattern)) for kind, pattern in _KEYS.items()]

_WORD = (
    r"(?:password|passwd|passphrase|pwd|secret|token|api_?key|(?:secret_?)?access_?key"
    r"|secret_?key|private_?key|account_?key|credentials?)"
)
#: A name that says so. Tokens of a text are none: `pad_token`, `eos_token`.
_NAMED = re.compile(
    rf"(?i)(?:.*[_-])?(?<!pad_)(?<!eos_)(?<!bos_)(?<!sep_)(?<!unk_)(?<!cls_)(?<!mask_)"
    rf"(?<!stop_)(?<!special_)(?<!start_)(?<!end_){_WORD}"
)
#: `password=…` inside an address or a command, and the password of an address.
_INSIDE = re.compile(
    rf"(?i)(?:(?<![a-z]){_WORD}=|://[^/\s:@\"']*:)(?P<value>[^\s\"'&;,@/]{{6,}})(?=@|[\s\"'&;,]|$)"
)
#: What stands for a secret and is none: names, paths, types, samples, places to fill in.
_NO_SECRET = re.compile(
    r"(?i)[$%<{(\[*/~.].*|.*[\0\s].*|.*://.*|[a-z_.-]+(?:/[a-z_.-]+)+|.*\{\{.*|.*(?:your|example|change.?me|dummy|sample|placeholder"
    r"|redacted|todo|xxx|\.\.\.|\*\*\*).*|string|text|(?-i:[A-Z][A-Z0-9]*_[A-Z0-9_]*)|none|null|true|false|.{0,5}"
)


@dataclass(frozen=True)
class _Image:
    """An image that tasks run in."""

    name: str
    #: Executors that have it: the IR path of the first one, and how many more.
    path: str
    others: int

    @property
    def registry(self) -> str:
        """The registry in the name; empty where Docker Hub is meant."""
        first, slash, _ = self.name.partition("/")
        return first if slash and (first == "localhost" or set(first) & set(".:")) else ""

    @property
    def tag(self) -> str:
        """The tag; empty without one."""
        return self.name.partition("@")[0].rpartition("/")[2].partition(":")[2]

    def hit(self, said: str, severity: Severity | None = None) -> Hit:
        """Return that there is something about this image."""
        components = "component" if self.others == 1 else "components"
        also = f" (and that of {self.others} more {components})" if self.others else ""
        return Hit(f"its image {self.name!r}{also} {said}", path=self.path, severity=severity)


def _images(subject: Subject) -> list[_Image]:
    """Return the images that are known before a run, each once."""
    found: dict[str, list[str]] = {}
    for executor in subject.executors():
        image = executor.body.get("container", {}).get("image", "")
        if image and not image.startswith(STUBS) and not CHANNEL.search(image):
            found.setdefault(image, []).append(f"{executor.path}.container.image")
    return [_Image(image, places[0], len(places) - 1) for image, places in found.items()]


def _imports(subject: Subject) -> Iterator[tuple[str, str, bool]]:
    """Yield what importers are given before a run: the IR path, the URI, whether it is a model."""
    defaults = {name: one.get("defaultValue") for name, one in parameters(subject).items()}
    executors = {executor.label: executor for executor in subject.executors()}
    for task in subject.tasks():
        executor = executors.get(task.component.get("executorLabel", ""))
        if executor is None or "importer" not in executor.body:
            continue
        importer = executor.body["importer"]
        source = importer.get("artifactUri", {})
        path = f"{executor.path}.importer.artifactUri"
        uri = source.get("constant")
        if name := source.get("runtimeParameter"):
            path = f"{task.path}.inputs.parameters.{name}"
            given = inputs(task).get(name, {})
            uri = given.get("runtimeValue", {}).get("constant")
            if task.path.startswith("root."):
                uri = uri or defaults.get(given.get("componentInputParameter"))
        if isinstance(uri, str) and uri and "{{$" not in uri:
            yield path, uri, importer.get("typeSchema", {}).get("schemaTitle") == "system.Model"


def _import(subject: Subject) -> Iterator[Hit]:
    for path, uri, model in _imports(subject):
        said = ""
        severity = None
        if subject.target == VERTEX:
            if not uri.startswith("gs://"):
                said = "and Vertex AI mounts gs:// only"
        elif not uri.startswith(_IMPORTED):
            said = "which is in no store that the importer knows"
        elif uri.startswith("oci://"):
            if not model:
                said = "and only a Model can come from a registry"
        elif subject.target == KFP_2_14_3 and re.match(r"minio://(?!mlpipeline/)", uri):
            said = "and this release reads from the bucket mlpipeline only"
            severity = Severity.WARNING
        if said:
            yield Hit(f"it imports {_shown(uri)}, {said}", path=path, severity=severity)


def _foreign_store(subject: Subject) -> Iterator[Hit]:
    imported = {uri for _, uri, _ in _imports(subject)}
    for one in constants(subject):
        for part in parts(one.value):
            if isinstance(part, str) and _NOT_GOOGLE.match(part) and part not in imported:
                yield Hit(f"{one.place} is {_shown(part)}", path=one.path)


def _local_path(subject: Subject) -> Iterator[Hit]:
    mounts = paths.mounts(subject)
    for one in constants(subject):
        if ".env[" in one.path:
            continue
        for part in parts(one.value):
            if (
                isinstance(part, str)
                and _PERSONAL.match(part)
                and "\n" not in part
                and not part.startswith(mounts)
            ):
                yield Hit(f"{one.place} is {_shown(part)}, a path of one machine", path=one.path)


def _mounted_path(subject: Subject) -> Iterator[Hit]:
    mounts = paths.mounts(subject)
    for text in texts(subject):
        found = _MOUNT.match(text.text)
        if found and not text.text.startswith(mounts):
            yield text.hit(f"names {_shown(text.text)}, and no bucket is mounted at /{found[1]}")


def _address(subject: Subject) -> Iterator[Hit]:
    serving = {source.path for source in subject.sources() if _SERVES.search(source.text)}
    for text in texts(subject):
        host = ""
        if found := _SERVICE.search(text.text):
            host = found[0]
        elif subject.target == LOCAL:
            continue
        elif found := _HOST.search(text.text):
            host = "" if text.code and text.path in serving else found["host"]
        elif found := _ADDRESS.search(text.text):
            host = found["any"] or found["url"] or found["private"]
            if found["private"] and re.search(r"(?i)version|release|tag|_cidr", text.name):
                host = ""
        if host and host != "0.0.0.0":  # noqa: S104 - what a server listens at
            yield text.hit(f"names {host}, an address of one cluster or one machine")


def _root(subject: Subject) -> Iterator[Hit]:
    root = subject.spec.get("defaultPipelineRoot", "")
    path = "defaultPipelineRoot"
    if not root:
        return
    if subject.target != VERTEX:
        yield Hit(
            f"the file says where artifacts go, {_shown(root)}: the web UI fills it in for a run, "
            "other runs ignore it",
            path=path,
        )
    elif not root.startswith("gs://"):
        yield Hit(f"the file sends artifacts to {_shown(root)}, which is no gs://", path=path)
    else:
        yield Hit(f"the file says where artifacts go, {_shown(root)}", path=path)


def _pull(subject: Subject) -> Iterator[Hit]:
    for image in _images(subject):
        if image.registry:
            if _HERE_ONLY.fullmatch(image.registry):
                yield image.hit(
                    "comes from a registry that only this machine or cluster reaches",
                    Severity.ERROR if subject.target == VERTEX else None,
                )
            continue
        account, slash, _ = image.name.partition("/")
        known = account in _PUBLISHERS if slash else re.split("[:@]", account)[0] in _OFFICIAL
        platform = bool(_PLATFORM.search(image.name))
        if subject.target == VERTEX and not known and not platform:
            yield image.hit("has no registry, so Vertex AI looks for it on Docker Hub")


def _tag(subject: Subject) -> Iterator[Hit]:
    for image in _images(subject):
        if "@sha256:" in image.name:
            continue
        if not image.tag:
            yield image.hit("has no tag, which means `latest`")
        elif "latest" in image.tag or not re.search(r"\d", image.tag):
            yield image.hit(f"has the tag {image.tag!r}, which names no version")


def _platform(subject: Subject) -> Iterator[Hit]:
    for image in _images(subject):
        found = _PLATFORM.search(image.name)
        if not found:
            continue
        architecture = found[1] or found[2]
        amd64 = architecture in ("amd64", "x86_64")
        if subject.target == VERTEX and amd64:
            continue
        yield image.hit(
            f"is for {architecture} only",
            Severity.ERROR if subject.target == VERTEX else None,
        )


def _credentials(subject: Subject) -> Iterator[Hit]:
    for text in texts(subject):
        kind = next((kind for kind, shape in _SHAPES if _key(shape, text.text)), "")
        if not kind and text.name and _NAMED.fullmatch(text.name) and _secret(text):
            kind = f"the value of {text.name!r}"
        if not kind and any(
            not _NO_SECRET.fullmatch(found["value"]) for found in _INSIDE.finditer(text.text)
        ):
            kind = "a password in an address or a setting"
        if kind:
            yield text.hit(f"holds what looks like a secret: {kind}")


def _key(shape: re.Pattern[str], text: str) -> bool:
    return any("EXAMPLE" not in found[0] for found in shape.finditer(text))


def _secret(text: Text) -> bool:
    """Whether what has a secret's name is one; `secret` is rather the name of a Secret."""
    if _NO_SECRET.fullmatch(text.text):
        return False
    named = re.search(r"(?i)secret|credentials?$", text.name)
    return not (named and re.fullmatch(r"[a-z][a-z0-9]*(?:[-.][a-z0-9]+)+", text.text))


def _shown(value: str) -> str:
    """Return a value in quotes, without a password in it, and not longer than a line."""
    value = without_password(value)
    return repr(value if len(value) <= 60 else f"{value[:59]}…")


RULES: tuple[Rule, ...] = (
    Rule(
        "import-uri",
        Severity.ERROR,
        REMOTE,
        "An imported artifact that is in no store of the target",
        "KFP's importer takes gs://, s3://, minio:// and, for a Model, oci://, and ends the run "
        "with anything else. Vertex AI mounts Cloud Storage alone, so a task finds no file of "
        "another store.",
        "Copy it to a store of the target, and make the URI a parameter",
        _import,
        warns=frozenset({VERTEX}),
    ),
    Rule(
        "foreign-store",
        Severity.WARNING,
        frozenset({VERTEX}),
        "A value that names a store other than Cloud Storage",
        "Vertex AI mounts Cloud Storage alone, and its tasks have no credentials of another store.",
        "Make it a parameter without a default, and give a gs:// URI there",
        _foreign_store,
    ),
    Rule(
        "local-path",
        Severity.WARNING,
        REMOTE,
        "A value that is a path of one machine",
        "A task runs in a container of its own: the folders of your machine or notebook are not "
        "there.",
        "Put the file into the image, or into a store, and import it with dsl.importer",
        _local_path,
    ),
    Rule(
        "mounted-path",
        Severity.WARNING,
        ALL,
        "A path as of a mounted bucket",
        "On KFP /s3 and /minio are empty folders, into which the files of a task's own artifacts "
        "go; elsewhere there are none.",
        "Take the path that the artifact has: `artifact.path`, or dsl.InputPath",
        _mounted_path,
    ),
    Rule(
        "handed-path",
        Severity.WARNING,
        REMOTE,
        "A path of a task's own disk that another task reads",
        "Tasks run in containers of their own. On one machine they share a disk, so this works "
        "there, and ends with a file that is not found elsewhere.",
        "Write to an Output[Dataset], Output[Model] or dsl.OutputPath, and give the artifact to "
        "the other task",
        paths.handed,
    ),
    Rule(
        "pipeline-root",
        Severity.WARNING,
        REMOTE,
        "A pipeline root in the file",
        "Where artifacts go is up to the target. KFP's driver ignores what the file says, but the "
        "web UI fills it in for each run; Vertex AI takes it where a job names none, and takes "
        "gs:// only.",
        "Leave `pipeline_root` out of the pipeline, and give it with the run or in the target",
        _root,
    ),
    Rule(
        "cluster-address",
        Severity.WARNING,
        ALL,
        "An address of one cluster or one machine",
        "Names that end in .svc, private addresses and localhost mean something else, or nothing, "
        "in another cluster: in a task, localhost is the task's own container.",
        "Make the address a parameter, or a variable from a ConfigMap",
        _address,
    ),
    Rule(
        "unreachable-image",
        Severity.WARNING,
        REMOTE,
        "An image that the target cannot pull",
        "An image of a registry on this machine, and one that was only loaded into a kind cluster, "
        "is nowhere else. A name without a registry is looked for on Docker Hub.",
        "Push it to a registry that the target reaches (for Vertex AI: Artifact Registry), and "
        "name it in full",
        _pull,
    ),
    Rule(
        "moving-tag",
        Severity.WARNING,
        REMOTE,
        "An image without a version",
        "The same file runs another image later, a cached task does not notice, and for `latest` "
        "Kubernetes asks the registry each time, which fails for an image loaded into kind.",
        "Give a tag that stays, or a digest",
        _tag,
    ),
    Rule(
        "one-platform",
        Severity.WARNING,
        REMOTE,
        "An image for one kind of processor",
        "It ends with `exec format error` on a node of another kind. Machines of Vertex AI are "
        "amd64.",
        "Take the image without the architecture in its name; build yours for all of your nodes",
        _platform,
    ),
    Rule(
        "credentials",
        Severity.WARNING,
        ALL,
        "A secret in the file",
        "Whoever sees the pipeline or a run of it sees the secret: it is in the database, in the "
        "web UI, in pods and in logs.",
        "Revoke it, and give a new one by a Secret: kfp.kubernetes.use_secret_as_env; on Vertex AI "
        "by Secret Manager",
        _credentials,
    ),
)
