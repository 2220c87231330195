"""Building an environment next to its place, verifying it, and reusing files and bytecode that are there."""
