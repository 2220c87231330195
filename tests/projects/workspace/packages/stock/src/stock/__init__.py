"""What is in stock."""

COUNT = 3
