"""The kind cluster: preflight, creation, status, removal."""
