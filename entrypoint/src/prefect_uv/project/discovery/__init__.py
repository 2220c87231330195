"""Search the pulled files for the project that the flow belongs to."""
