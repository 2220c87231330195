"""Building an environment under another name, verifying it, and reusing files and bytecode of earlier ones."""
