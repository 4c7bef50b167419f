"""Every fusion head on the same features and folds."""
