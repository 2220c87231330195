"""The engine of a flow run: its command, its process, and what is reported when it ends.

`launch` says what to start, `supervisor` starts it as an `engine_process` and decides what every event means,
`control_channel` tells the engine why it is being stopped, and `conclusion` reports what the engine did not.
"""
