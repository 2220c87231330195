"""The examples, deployed and run as a user would."""
