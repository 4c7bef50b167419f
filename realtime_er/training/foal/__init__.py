"""Foal-Net."""
