"""The indexes that packages come from: those that a lock was made with, directories, and wheels without a network."""
