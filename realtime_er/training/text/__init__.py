"""The text encoder."""
