"""A package with a program in Rust."""
