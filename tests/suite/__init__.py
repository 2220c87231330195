"""How the tests run: side by side in several processes, within a budget, and with nothing left behind."""
