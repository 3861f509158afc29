"""Teachers: programs, recordings, language models, scripts. A failed question becomes a record, not an exception."""
