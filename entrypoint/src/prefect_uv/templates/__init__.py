"""Base job templates of work pools: the default of the worker, from a file or the API, with what our image needs."""
