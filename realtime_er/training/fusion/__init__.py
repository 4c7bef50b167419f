"""The fusion head of the compact bundle."""
