"""What a start says: lines on stderr and in the flow run's log, with secrets masked."""
