"""What can differ between audit, ledger, OCSP and lists."""

from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """The kinds of difference (docs/contract.md); what to do about each: server/cli/reconcile.py."""

    ACTS_OUT_OF_ORDER = "acts-out-of-order"
    AUDIT_LACKS = "audit-lacks"
    LEDGER_LACKS = "ledger-lacks"
    SERIAL_TWICE = "serial-twice"
    STATE_DIFFERS = "state-differs"
    ROW_MISSING = "row-missing"
    RECORD_DIFFERS = "record-differs"
    RECORD_UNREADABLE = "record-unreadable"
    COMMITMENT_DIFFERS = "commitment-differs"
    SIGNATURE_DIFFERS = "signature-differs"
    SIGNATURE_WRONG = "signature-wrong"
    JOURNAL_DIFFERS = "journal-differs"
    PLACE_DIFFERS = "place-differs"
    OCSP_DIFFERS = "ocsp-differs"
    OCSP_SILENT = "ocsp-silent"
    LIST_LAGS = "list-lags"
    LIST_UNREADABLE = "list-unreadable"
    LIST_STALE = "list-stale"
    LIST_DIFFERS = "list-differs"
    LIST_UNKNOWN = "list-unknown"


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference: a serial, a list or the journal, and in a few words what ought to be and what is."""

    subject: str
    fault: Fault
    expected: str
    found: str
