"""Compiled modules: NumPy buffers in, C kernels without the GIL, status codes turned into exceptions above."""
