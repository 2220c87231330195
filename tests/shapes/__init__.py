"""Each kind of project in a container, and the environment that it gets."""
