"""The pull step `git_clone`: git, its credentials, and the mirror on the cache volume."""
