"""NesyCD as a short composition of stages; its rivals will stand beside it."""
