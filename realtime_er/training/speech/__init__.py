"""The streaming speech encoder."""
