"""How much a task of the sample pipelines may use."""

from kfp.dsl import PipelineTask


def limited(task: PipelineTask) -> PipelineTask:
    """Limit a task to one processor and 1 GiB, and ask for what it needs at least.

    Kubernetes takes the limit for the request where none is given, and a small node has no whole
    processor to spare. Vertex chooses a machine by the limits alone.
    """
    return (
        task.set_cpu_request("100m")
        .set_cpu_limit("1")
        .set_memory_request("256Mi")
        .set_memory_limit("1Gi")
    )
