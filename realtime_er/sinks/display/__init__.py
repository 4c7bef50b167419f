"""The live window (pyqtgraph on PySide6); importing it needs the ``window`` extra."""
