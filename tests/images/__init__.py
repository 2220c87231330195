"""Tests of the images, in containers of the real engine."""
