"""The options of the commands: what they ask for, and the parser that reads them."""
