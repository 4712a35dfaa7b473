"""The sample pipeline and what comes after: the model is pushed, and the end of the run is told.

Its settings for Kubernetes make it a file of two documents, for KFP alone.
"""

from kfp import dsl, kubernetes

from components.check_accuracy.component import check_accuracy
from components.evaluate.component import evaluate
from components.generate_data.component import generate_data
from components.notify.component import notify
from components.push.component import push
from components.train.component import train
from components.transform.component import transform
from pipelines.resources import limited


@dsl.pipeline(name="penguins-push")
def penguins_push(
    to: str = "s3://mlpipeline/models",
    endpoint: str = "http://minio-service:9000",
    ui_address: str = "",
    seed: int = 42,
    n_estimators: int = 100,
    min_accuracy: float = 0.9,
) -> None:
    """Classify penguins, push the model if it is good enough, and say how the run ended.

    Args:
        to: Where the model goes, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or an absolute folder.
        endpoint: Address of the store; empty for that of AWS or Google.
        ui_address: Address of KFP's web UI as readers have it, for a link; empty for no link.
        seed: Seed of the split and of the model.
        n_estimators: Number of trees, at least 1.
        min_accuracy: The run fails where the accuracy is lower; from 0 to 1.
    """
    told = limited(
        notify(
            run_name=dsl.PIPELINE_JOB_NAME_PLACEHOLDER,
            run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
            ui_address=ui_address,
        )
    ).set_caching_options(False)
    # As a volume: a variable of a Secret that is not there would hold the task up for ever.
    kubernetes.use_secret_as_volume(told, "notify", mount_path="/etc/notify", optional=True)
    with dsl.ExitHandler(told):
        data = limited(generate_data(seed=seed))
        transformed = limited(transform(train=data.outputs["train"], test=data.outputs["test"]))
        trained = limited(
            train(
                transformed_train=transformed.outputs["transformed_train"],
                n_estimators=n_estimators,
                seed=seed,
            )
        )
        evaluated = limited(
            evaluate(
                model=trained.outputs["model"],
                transformed_test=transformed.outputs["transformed_test"],
                preprocessing=transformed.outputs["preprocessing"],
            )
        )
        checked = limited(
            check_accuracy(accuracy=evaluated.outputs["accuracy"], min_accuracy=min_accuracy)
        )
        pushed = limited(
            push(
                model=trained.outputs["model"],
                model_card=evaluated.outputs["model_card"],
                accuracy=evaluated.outputs["accuracy"],
                to=to,
                name="penguins",
                min_accuracy=min_accuracy,
                run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
                endpoint=endpoint,
            )
        )
        pushed.after(checked).set_caching_options(False)
        keys = {"accesskey": "AWS_ACCESS_KEY_ID", "secretkey": "AWS_SECRET_ACCESS_KEY"}
        kubernetes.use_secret_as_env(pushed, "mlpipeline-minio-artifact", keys)
