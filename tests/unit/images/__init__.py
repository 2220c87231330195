"""Tests of `export` and `import`, of layers, and of registries."""
