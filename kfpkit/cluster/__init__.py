"""The kind cluster: its configuration, tools, preflight, creation, status, removal."""
