"""A release: the images as reproducible OCI images with what describes and signs them, in a registry.

`publish` builds, audits and pushes; `verify` checks what a registry has, with nothing but the public key. Docker's
engine sets times of its own, so its images are rewritten into an OCI layout, in which one commit has one digest:
https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md
"""
