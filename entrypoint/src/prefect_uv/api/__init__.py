"""The Prefect API without Prefect: requests, the flow run and its state, and noticing that it is cancelled."""
