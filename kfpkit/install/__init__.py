"""Installing Kubeflow Pipelines on a cluster, watching it start, and reaching it."""
