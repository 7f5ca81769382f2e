"""Measurements, each a ratio of two sides taken turn about in one run."""
