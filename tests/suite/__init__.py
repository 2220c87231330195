"""How the tests run: in parallel processes, within a time budget, and without leaving anything behind."""
