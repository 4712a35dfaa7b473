"""Images built from package registries: recipes, cache, builder and the Docker engine."""
