"""konv.cuda beside cuDNN and PyTorch's own kernels: `python -m benchmarks.cuda` (docs/benchmarking.md)."""
