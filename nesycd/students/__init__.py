"""The small model: load, render, train, generate. The only package that imports torch, and only inside its modules."""
