"""The environment store under stress: real containers, killed, filled up, crowded."""
