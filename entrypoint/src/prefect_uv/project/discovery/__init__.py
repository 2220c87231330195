"""Which project the flow belongs to: the search through the pulled files."""
