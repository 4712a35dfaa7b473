"""What comes after a run, from the components' YAML: a model is pushed, and the end is told."""

from kfp import dsl, kubernetes

from components.image import RUNTIME_IMAGE
from components.load import load

push = load("push")
notify = load("notify")


@dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)
def make(
    text: str,
    accuracy: float,
    model: dsl.Output[dsl.Model],
    model_card: dsl.Output[dsl.Markdown],
) -> float:
    for artifact in (model, model_card):
        with open(artifact.path, "w") as file:
            file.write(text)
    return accuracy


@dsl.pipeline(name="pushed")
def pushed(text: str, accuracy: float, to: str, secret: str) -> None:
    """Push a text as a model, and tell where a Secret says."""
    told = notify(
        run_name=dsl.PIPELINE_JOB_NAME_PLACEHOLDER,
        run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
        ui_address="http://kfp.example",
    )
    kubernetes.use_secret_as_volume(told, secret, mount_path="/etc/notify", optional=True)
    with dsl.ExitHandler(told.set_caching_options(False)):
        made = make(text=text, accuracy=accuracy)
        done = push(
            model=made.outputs["model"],
            model_card=made.outputs["model_card"],
            accuracy=made.outputs["Output"],
            to=to,
            run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
            endpoint="http://minio-service:9000",
        )
        done.set_caching_options(False)
        keys = {"accesskey": "AWS_ACCESS_KEY_ID", "secretkey": "AWS_SECRET_ACCESS_KEY"}
        kubernetes.use_secret_as_env(done, "mlpipeline-minio-artifact", keys)
