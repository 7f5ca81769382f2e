"""Revocation lists: their partitions, their octets, their publication, and reading those of others."""
