"""A flow that looks at itself from everywhere."""
