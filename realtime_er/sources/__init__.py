"""Sources: devices and files, as streams of timestamped messages. They know nothing of models."""
