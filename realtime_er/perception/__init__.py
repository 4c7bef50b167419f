"""Perception: where the face is, when somebody speaks, and what is said."""
