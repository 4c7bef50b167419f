"""CFN-SR, MSAF and the fusions they are compared with, on RAVDESS."""
