"""The pull step `git_clone`: its inputs, git with its credentials and failures, and the mirror on the cache volume."""
