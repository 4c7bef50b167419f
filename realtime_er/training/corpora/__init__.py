"""One reader per corpus; each raises :class:`realtime_er.errors.CorpusError` when it is absent."""
