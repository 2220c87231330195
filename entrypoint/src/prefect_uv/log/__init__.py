"""The log of a start: lines on stderr and in the flow run's own log, with secrets masked."""
