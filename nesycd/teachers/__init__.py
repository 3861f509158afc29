"""Who can be asked: programs, recordings, scripts. A question that fails is a record, never a crash."""
