"""Faults at the device boundary: scripted, and real where this machine has the means."""
