"""Kubeflow Pipelines as it is: an installation, its API and stores, pipelines, what a run is."""
