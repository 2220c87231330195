"""Tests of the images whose interpreter is downloaded."""
