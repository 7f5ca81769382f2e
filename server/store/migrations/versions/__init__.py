"""The migrations, in order of name."""
