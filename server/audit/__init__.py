"""The audit as a chain that anybody can check: hashes, signed heads, the log's lines. No database here.

The store keeps it (server/store/audit.py), the notary signs it (server/notary.py), an auditor checks it with `verify`
and a public key alone. See docs/adr/0008.
"""
