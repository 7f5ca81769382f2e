"""Verifies signed documents, and makes them as a taxpayer's software would: the room bears its user's name.

`signing.verify.verify` judges a PDF, an e-Tax `.xtx` or a CMS file; `signing.sign.sign` makes one. Nothing here
uses the network. pyHanko, signxml and lxml are imported only when a document of their format is at hand.
"""
