"""Encoders: each runs once per piece of new data and returns a vector with its time."""
