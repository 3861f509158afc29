"""HTTP: the review and ask pages, and the OpenAI-compatible server, with what keeps both safe."""
