"""A pipeline that ends in as many ways as its report tells apart."""

import json

from kfp import dsl

from components.image import RUNTIME_IMAGE
from pipelines.resources import limited

#: Numbers that ML Metadata has no digits for, and a bool, which it has no type for.
NUMBERS = {"huge": 1e308, "tiny": 1e-320, "sum": 0.1 + 0.2, "good": True}

#: Writes them as metrics; the second round ends badly.
ENDS = """
import json, pathlib, sys
outputs = json.loads(sys.argv[2])["outputs"]
uri = outputs["artifacts"]["metrics"]["artifacts"][0]["uri"]
written = [{"uri": uri, "metadata": json.loads(sys.argv[3])}]
file = pathlib.Path(outputs["outputFile"])
file.parent.mkdir(parents=True, exist_ok=True)
file.write_text(json.dumps({"artifacts": {"metrics": {"artifacts": written}}}))
print("bye")
sys.exit(3 * (sys.argv[1] == "2"))
"""


@dsl.container_component  # type: ignore[untyped-decorator]
def ends(i: int, metrics: dsl.Output[dsl.Metrics]) -> dsl.ContainerSpec:
    """Write metrics, and end."""
    del metrics
    given = [i, dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER, json.dumps(NUMBERS)]
    return dsl.ContainerSpec(image=RUNTIME_IMAGE, command=["python3", "-c", ENDS], args=given)


@dsl.pipeline(name="tests-ends")  # type: ignore[untyped-decorator]
def odd_ends(uri: str, never: int = 0) -> None:
    """A loop with a bad round, a branch that is not taken, and an import."""
    dsl.importer(artifact_uri=uri, artifact_class=dsl.Dataset)
    with dsl.ParallelFor([1, 2]) as i:
        limited(ends(i=i))
    with dsl.If(never == 1):
        limited(ends(i=1))
