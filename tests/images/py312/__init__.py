"""Tests of images whose interpreter is downloaded."""
