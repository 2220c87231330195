"""The versions that examples and test projects pin: those that the images are built for (`images/family.toml`)."""

from images.family import read

PREFECT = read().prefect
PREFECT_CLIENT = read().pins["prefect-client"].removeprefix("==")
UV = read().pins["uv"].removeprefix("==")
