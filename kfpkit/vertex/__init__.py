"""Vertex AI Pipelines as a target: Google's own client, and what it tells in the kit's terms."""
