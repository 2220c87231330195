"""A build backend of its own."""

from setuptools.build_meta import *
