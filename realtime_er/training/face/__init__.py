"""The face encoder."""
