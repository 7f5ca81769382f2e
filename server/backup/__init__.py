"""Backups: one signed file of a running authority, and a new home from it and from what auditors kept.

`manifest` says what is in a backup, `archive` is the file, `create` and `restore` do what they say. See docs/adr/0013.
"""
