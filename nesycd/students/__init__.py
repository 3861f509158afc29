"""The small model: loading, rendering, training, generation. The only package that imports torch, and only in its modules."""
