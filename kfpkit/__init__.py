"""KFP Kit: a self-hosted Kubeflow Pipelines deployment kit."""
