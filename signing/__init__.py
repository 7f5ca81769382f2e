"""Verifies signed documents, and makes them as a taxpayer's software would: the room bears its user's name.

`signing.verify.verify` judges a PDF, an e-Tax `.xtx` or a CMS file; `signing.sign.sign` makes one. Nothing here
uses the network. pyHanko, signxml and lxml are imported only when a document of their format is at hand.
"""

import logging

# What these libraries log is in the verdict already, and may hold what the document or its signer says (rule R21).
for _library in ("pyhanko", "pyhanko_certvalidator", "signxml"):
    logging.getLogger(_library).setLevel(logging.CRITICAL)
