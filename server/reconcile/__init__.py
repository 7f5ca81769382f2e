"""Reconciling: what a crash left open is closed, and audit, ledger, OCSP and lists are held against each other."""
