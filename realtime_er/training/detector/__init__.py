"""The face detector: its pictures, its training, its measures."""
