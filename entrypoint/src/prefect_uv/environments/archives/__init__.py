"""Environments as archives on a volume that is far away: one file each, instead of thousands."""
