"""The caps of document validation, all of them: what a stranger's file may be, and what judging it may cost.

More than any honest document needs; hostile ones keep libraries busy for minutes, or fill the memory (docs/adr/0022).
"""

_KIB = 1024
_MIB = 1024 * 1024

# --- what a file may be ----------------------------------------------------------------------------------------------

LARGEST_DOCUMENT = 100 * _MIB
"""Octets of a file."""
LARGEST_UPLOAD = 20 * _MIB
"""Octets of a file that comes over HTTP."""
MOST_SIGNATURES = 32
"""Signatures in a file, the time-stamps of a PDF among them; and time-stamps of one signature."""
MOST_CERTIFICATES = 20
"""Certificates that come with one signature: path building tries each of them as an issuer of each."""
MOST_NAMES_COMPARED = 1 << 20
"""Names in the certificates of a chain, times the constraints upon names in it."""
MOST_STORED = 64
"""Certificates, lists and OCSP responses for later, of each kind; what else a document holds is passed over."""
MOST_REVISIONS = 128
"""Revisions of a PDF, four for each signature: changes are looked for in each one after a signature."""
DEEPEST_XML = 256
"""Levels of elements in XML, as libxml2 bounds them by itself. Entities need no cap: a DTD is not taken at all."""
LARGEST_XML_TEXT = 10_000_000
"""Octets of one text or attribute in XML, as libxml2 bounds them by itself."""
LARGEST_XREF_STREAM = _MIB
"""Octets of a PDF's cross-reference stream, decoded: some two hundred thousand objects. 41 kB can claim ten million,
which take a minute to read."""
LARGEST_STREAM = 64 * _MIB
"""Octets of any other stream of a PDF, decoded."""
LARGEST_STREAMS = 256 * _MIB
"""Octets of all streams of a PDF that are decoded on the way to a verdict, repeated ones repeatedly."""
DEEPEST_CALLS = 1000
"""Python's calls within calls: what nests in PDF and CMS ends there, at some hundred levels."""

# --- what judging it may cost ----------------------------------------------------------------------------------------

MEMORY = 1024 * _MIB
"""Octets of address space of the process that judges one file, its libraries included."""
PROCESSOR_SECONDS = 8
"""Seconds of processor time for one file."""
SECONDS = 9.0
"""Seconds on the clock for one file, without those in which the process waits for a word on revocation."""
MOST_QUESTIONS = 4 * MOST_SIGNATURES
"""Questions about revocation for one file to one source: a chain of ours has one certificate below its anchor, seldom
two, and so has a time-stamp's."""
LARGEST_MESSAGE = 4 * _MIB
"""Octets of one message of the process that judges: a verdict on all signatures takes some 300 KiB."""
