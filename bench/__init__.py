"""The benchmark: how long a flow run takes to start, and what it uses. `make bench` runs it; it is no test."""
