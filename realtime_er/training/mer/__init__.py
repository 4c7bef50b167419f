"""The published cross-modal gated attention (MER) on extracted features."""
