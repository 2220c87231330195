"""The pull step `git_clone`: its inputs, git with its failures, and the mirror on the cache volume."""
