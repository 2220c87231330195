"""The packages lie in `code`."""

from setuptools import find_packages, setup

setup(packages=find_packages("code"), package_dir={"": "code"})
