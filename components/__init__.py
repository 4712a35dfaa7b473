"""The sample's components: one folder each, see `docs/contribute/`."""
