"""NesyCD as a short composition of stages, and the methods that it is compared with (`methods.table`)."""
