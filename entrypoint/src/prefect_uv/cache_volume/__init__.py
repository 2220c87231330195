"""The cache volume: its directories, and the locks by which containers share them."""
