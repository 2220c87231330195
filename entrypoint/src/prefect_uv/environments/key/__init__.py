"""What an environment is known by: the fingerprint of the raw inputs and the key of the contents."""
