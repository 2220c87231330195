"""How an environment is found: by the fingerprint of its raw inputs, and by the key of what would be installed."""
