"""Generates the two Go modules that the Kubeflow Pipelines module needs and no registry serves.

The main module replaces `api` and `kubernetes_platform` by folders of its own repository, which a
Go module archive leaves out; the versions that are published are too old to compile against. Both
hold nothing but code that protoc-gen-go writes from two .proto files, and the compiled descriptors
of just these files are inside the PyPI packages of the same release. So the descriptors are read
from the wheels and handed to the plugin; neither protoc nor the .proto files are needed.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import TYPE_CHECKING

from google.protobuf import any_pb2, duration_pb2, struct_pb2
from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest, CodeGeneratorResponse
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.rpc import status_pb2

from kfpkit.core.process import query
from kfpkit.images.builder import NO_DEBUGGING, uv

if TYPE_CHECKING:
    from kfpkit.images.builder import Build

#: What the two files import, as the protobuf library and googleapis-common-protos describe it.
IMPORTED = (any_pb2, duration_pb2, struct_pb2, status_pb2)

API = "github.com/kubeflow/pipelines/api"
#: The go.sum line of the published module that go.mod names, before `replace`.
API_SUM = "h1:ZXz+Ki+hxez8vsr5hWHsjYWpa9V/dkp3iI4XTtMBH7A="


def descriptors(packages: Path) -> list[FileDescriptorProto]:
    """Return the descriptors of the files below `packages` that protoc made (`*_pb2.py`).

    The files are read, not imported: they are made for another protobuf version than ours.
    """
    return [
        FileDescriptorProto.FromString(ast.literal_eval(call.args[0]))
        for file in sorted(packages.rglob("*_pb2.py"))
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "AddSerializedFile"
    ]


def request(files: list[FileDescriptorProto]) -> CodeGeneratorRequest:
    """Return what protoc would send to protoc-gen-go for `files`.

    A generated file's path is its Go package without the repository's name, so that it lands in
    the folder of its module.
    """
    names = {file.name for file in files}
    # A file comes after those it imports; among ours there is one such step.
    files = sorted(files, key=lambda file: not names.isdisjoint(file.dependency))
    known = [FileDescriptorProto.FromString(one.DESCRIPTOR.serialized_pb) for one in IMPORTED]
    return CodeGeneratorRequest(
        file_to_generate=[file.name for file in files],
        parameter="module=github.com/kubeflow/pipelines",
        proto_file=[*known, *files],
    )


def prepare(build: Build) -> None:
    """Put the generated code into the copy of the module's folder."""
    module = build.go[0]
    packages = module / "packages"
    build.run(
        [
            *(uv(), "pip", "install", "--quiet", "--no-deps"),
            *("--require-hashes", "--target", str(packages)),
            *("--requirement", str(module / "requirements.txt")),
        ]
    )
    files = descriptors(packages)

    plugin = module / "protoc-gen-go"
    # As the programs are compiled, so that the packages they share are compiled once.
    command = ["go", "build", "-trimpath", NO_DEBUGGING, "-o", str(plugin)]
    command += ["google.golang.org/protobuf/cmd/protoc-gen-go"]
    build.run(command, cwd=module, env=build.go_env)
    sent, answered = module / "request.bin", module / "response.bin"
    sent.write_bytes(request(files).SerializeToString())
    build.run(["sh", "-c", f"{plugin} <{sent} >{answered}"])
    response = CodeGeneratorResponse.FromString(answered.read_bytes())
    if response.error:
        raise ValueError(f"protoc-gen-go: {response.error}")
    for made in response.file:
        target = module / made.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(made.content, encoding="utf-8")
    # Contents only: files of the module cache may not be written to, nor deleted with their folder.
    for file in cache_key(build).glob("*.go"):
        target = module / "api/v2alpha1/go/cachekey" / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())


def cache_key(build: Build) -> Path:
    """Return the folder of the one package that the published `api` module has right.

    Raises:
        ValueError: The module that was downloaded is not the one this file was written for.
    """
    command = ["go", "list", "-m", "-f", "{{.Path}}@{{.Version}}", API]
    published = query(command, cwd=build.go[0], env=build.go_env).stdout.strip()
    # Asked for outside of the module, whose `replace` would answer; so go.sum is not asked.
    command = ["go", "mod", "download", "-json", published]
    answer = json.loads(query(command, cwd=build.context, env=build.go_env).stdout)
    if answer["Sum"] != API_SUM:
        raise ValueError(f"{published} has the sum {answer['Sum']}, not {API_SUM}")
    return Path(answer["Dir"]) / "v2alpha1/go/cachekey"
