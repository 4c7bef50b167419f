"""Recorded sessions: write, verify, repair, read, annotate, replay, export."""
