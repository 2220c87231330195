"""What makes engines start sooner: imports from one file, and Prefect imported while the API and git are waited for.

`_bundled_imports` lets an engine import from the environment's import bundle (ADR 36). `engine_start` notes how the
engines of a deployment are started, `early_engine` starts the next one before its run is known, `import_influences`
says which runs may not have it, and `_early_run` is what that process does (ADR 37).
"""
