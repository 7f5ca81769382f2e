"""The kernel: the words, values and ports that every room shares. No framework, no store, no I/O."""
