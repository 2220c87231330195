from setuptools import setup

setup(name="etl", install_requires=["prefect==3.9.1"])
