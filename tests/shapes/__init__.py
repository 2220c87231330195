"""Every shape of project in a container, with the environment that comes out of it."""
