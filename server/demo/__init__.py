"""The whole story of an authority, told in one process: `jpki demo`."""
