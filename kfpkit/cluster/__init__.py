"""The kind cluster: preflight, creation, status, removal."""

#: Name of the cluster in kind-config.yaml, and of the context kind makes for it.
NAME = "kfp"
CONTEXT = f"kind-{NAME}"
