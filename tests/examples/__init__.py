"""The examples, as a user would deploy and run them."""
