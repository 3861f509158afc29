"""How knowledge is written into files and read from them, one format a file; `exchange` brings them to a KB."""
