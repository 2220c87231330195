"""The cache volume: where everything is on it, and who uses or makes what."""
