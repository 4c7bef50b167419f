"""Sinks: what is done with estimates. They pull snapshots and can never delay an estimate."""
