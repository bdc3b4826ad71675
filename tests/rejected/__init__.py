"""Every argument that is refused, by function, with the start of its message: data for tests/test_rejected.py."""
