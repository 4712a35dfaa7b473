"""Kubernetes, whatever runs on it: rendered manifests, the health of workloads, forwarded ports."""
