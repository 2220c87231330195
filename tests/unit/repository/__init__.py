"""Tests of the repository itself: its files and pins, the builder of the images, and the benchmark's report."""
