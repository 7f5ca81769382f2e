"""The tables. Who may know a person and who may not is the line between `certificate` and `status` (docs/adr/0003).

A state is stored once, in `status`; uniqueness lives in `place`, whose primary key is the law's rule that a holder has
one pending and one live certificate of a kind on a carrier (公的個人認証法 6; rule R20).
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from jpki.clerk import LONGEST_CLERK_NAME
from jpki.counter import LONGEST_COUNTER_CODE, LONGEST_COUNTER_NAME
from jpki.resident_event import LONGEST_SOURCE
from jpki.verifier import LONGEST_NAME, LONGEST_PURPOSE
from server.store.types import Moment, SerialColumn

metadata = MetaData()

ledger = Table(
    "ledger",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1"), primary_key=True),
    Column("epoch", Integer, nullable=False),
    Column("position", BigInteger, nullable=False),
)
"""One row: the journal's epoch and last position. It is locked last in a transaction, and shortest."""

clock = Table(
    "clock",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1"), primary_key=True),
    Column("latest", Moment, nullable=False),
)
"""One row: the latest moment ever written (rule R22). It is locked first in a transaction, and once a second."""

generation = Table(
    "generation",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("purpose", String(16), nullable=False),
    Column("number", Integer, nullable=False),
    Column("certificate", LargeBinary, nullable=False),
    Column("key_uri", String(512), nullable=False),
    Column("profile", String(32), nullable=False),
    Column("issue_until", Moment, nullable=False),
    Column("not_after", Moment, nullable=False),
    Column("issues_from", Moment),
    Column("compromised_at", Moment),
    Column("compromised_position", BigInteger),
    Column("destroyed_at", Moment),
    UniqueConstraint("purpose", "number"),
)
"""`compromised_at` revokes all that the generation signed: one row, not one for each certificate (docs/adr/0009)."""

delegate = Table(
    "delegate",
    metadata,
    Column("serial", SerialColumn, primary_key=True),
    Column("generation", String(16), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("name", String(64), nullable=False),
    Column("key_uri", String(512)),
    Column("not_after", Moment, nullable=False),
    Column("to_be_signed", LargeBinary, nullable=False),
    Column("certificate", LargeBinary),
    Index("delegate_generation", "generation", "kind"),
)
"""What CA keys sign for the house itself. `generation` references no row: a root is signed before its generation is."""

ceremony = Table(
    "ceremony",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),
    Column("subject", String(16)),
    Column("plan", Text, nullable=False),
    Column("minutes", Text, nullable=False),
    Column("opened_at", Moment, nullable=False),
    Column("body", Text),
    Column("record", Text),
)
"""Ceremonies: `minutes` grow step by step, `body` is what will be signed, `record` what was; it ends the ceremony."""

partition = Table(
    "partition",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("purpose", String(16), nullable=False),
    Column("name", String(512), nullable=False, unique=True),
    Column("municipality", String(6), unique=True),
)
"""`name` is the distinguished name as RFC 4514 writes it; `municipality` stands for signing partitions only."""

partition_url = Table(
    "partition_url",
    metadata,
    Column("partition", ForeignKey("partition.id"), primary_key=True),
    Column("base_url", String(512), primary_key=True),
    Column("added", Integer, nullable=False),
)
"""Append-only: a partition is in use once it has a row, and every base URL that a certificate ever named stays."""

certificate = Table(
    "certificate",
    metadata,
    Column("serial", SerialColumn, primary_key=True),
    Column("purpose", String(16), nullable=False),
    Column("carrier", String(64), nullable=False),
    Column("holder", String(64), nullable=False),
    Column("profile_hash", String(64), nullable=False),
    Column("not_before", Moment, nullable=False),
    Column("not_after", Moment, nullable=False),
    Column("renews", SerialColumn, index=True),
    Column("card_end", Moment),
    Index("certificate_holder", "holder", "purpose"),
)
"""`card_end` is the end of the card that it was written to, where one was read: nothing of a card outlives that."""

holder_key = Table(
    "holder_key",
    metadata,
    Column("key_hash", LargeBinary(32), primary_key=True),
    Column("serial", ForeignKey("certificate.serial"), nullable=False),
)
"""Which certificate bears a key: no key is ever in two (rule R17)."""

data_key = Table(
    "data_key",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("wrapping_key", String(512), nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
)
"""The keys that seal; the newest does, the older ones open what they sealed. Each is wrapped by the key provider."""

blocked_key = Table(
    "blocked_key",
    metadata,
    Column("key_hash", LargeBinary(32), primary_key=True),
    Column("since", Moment, nullable=False),
)
"""Keys that no certificate may bear, though none of ours did: leaked or weak ones (rule R17)."""

certificate_record = Table(
    "certificate_record",
    metadata,
    Column("serial", ForeignKey("certificate.serial"), primary_key=True),
    Column("data_key", ForeignKey("data_key.id"), index=True),
    Column("to_be_signed", LargeBinary, nullable=False),
    Column("signature", LargeBinary),
)
"""The octets that will be signed, behind a salt, and then their signature; both sealed under `data_key`.

The one table, beside `case_resident`, that holds attributes of a person. A record from before there were seals has no
data key until `jpki db upgrade` has sealed it.
"""

status = Table(
    "status",
    metadata,
    Column("serial", SerialColumn, primary_key=True),
    Column("generation", ForeignKey("generation.id"), nullable=False),
    Column("partition", ForeignKey("partition.id"), nullable=False),
    Column("not_after", Moment, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", String(32)),
    Column("revoked_at", Moment),
    Column("position", BigInteger, nullable=False),
    Index("status_partition", "partition", "serial"),
    *(
        Index(
            name, *columns, sqlite_where=text("revoked_at IS NOT NULL"), postgresql_where=text("revoked_at IS NOT NULL")
        )
        for name, columns in (
            ("status_listed_in", ("partition", "serial", "revoked_at", "reason", "not_after")),
            ("status_revoked", ("serial", "generation", "revoked_at", "reason", "not_after")),
            ("status_ending", ("not_after",)),
        )
    ),
    CheckConstraint(
        "(state IN ('held', 'revoked')) = (revoked_at IS NOT NULL) AND (revoked_at IS NULL) = (reason IS NULL)",
        name="status_listed",
    ),
)
"""All that OCSP and CRLs are made of, and nothing about a person.

`status_revoked` holds a complete list in its order, `status_listed_in` those of the partitions; neither needs a look at
the table. `status_ending` finds what leaves. `status_partition` finds what a compromised generation signed, and holds
nothing that changes: a step from state to state touches no index.
"""

place = Table(
    "place",
    metadata,
    Column("holder", String(64), primary_key=True),
    Column("purpose", String(16), primary_key=True),
    Column("carrier", String(64), primary_key=True),
    Column("stage", String(8), primary_key=True),
    Column("serial", SerialColumn, nullable=False, unique=True),
    Column("since", Moment, nullable=False),
    Column("not_after", Moment, nullable=False),
)
"""A holder's places: at most one `pending` and one `live` certificate per purpose and carrier."""

journal = Table(
    "journal",
    metadata,
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("serial", SerialColumn, nullable=False, index=True),
    Column("partition", ForeignKey("partition.id")),
    Column("state", String(16), nullable=False),
    Column("reason", String(32)),
    Column("listed", Integer, nullable=False),
    Column("effective_at", Moment, nullable=False),
    Column("recorded_at", Moment, nullable=False),
    Index("journal_list", "partition", "listed", "position"),
)
"""Every change that a verifier can see, gap-free and in commit order. `listed` is 1 where it changes a CRL.

An entry without a partition is a root's: with it, all that its generation signed is revoked.
"""

audit_outbox = Table(
    "audit_outbox",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("body", Text, nullable=False),
)
"""Acts that are not chained yet: each is written in the transaction of what it tells of."""

audit_tip = Table(
    "audit_tip",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1"), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
)
"""One row: where the chain ends. Whoever chains locks it first; who acts never does."""

audit_chain = Table(
    "audit_chain",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("commitment", LargeBinary(32), nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
)
"""The audit's chain, without a gap and for ever (docs/adr/0008)."""

audit_body = Table(
    "audit_body",
    metadata,
    Column("number", ForeignKey("audit_chain.number"), primary_key=True),
    Column("salt", LargeBinary(32), nullable=False),
    Column("body", Text, nullable=False),
)
"""What the chain's commitments hide; a row goes when its retention ends, and the chain stays whole."""

audit_head = Table(
    "audit_head",
    metadata,
    Column("number", ForeignKey("audit_chain.number"), primary_key=True),
    Column("after", BigInteger, nullable=False, unique=True),
    Column("line", Text, nullable=False),
)
"""Signed heads, as their line in the exported log; each names the one before it, so that there is one succession."""

audit_signer = Table(
    "audit_signer",
    metadata,
    Column("serial", SerialColumn, primary_key=True),
    Column("certificate", LargeBinary, nullable=False),
    Column("key_uri", String(512), nullable=False),
    Column("not_after", Moment, nullable=False),
)
"""The certificates of the keys that sign heads."""

campaign = Table(
    "campaign",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("ending_by", Date),
    Column("reason", String(32)),
    Column("state", String(16), nullable=False),
    Column("opened", Moment, nullable=False),
    Column("begun", Moment),
)
"""One with a `reason` revokes; the others renew what ends by a day."""

campaign_item = Table(
    "campaign_item",
    metadata,
    Column("campaign", ForeignKey("campaign.id"), primary_key=True),
    Column("serial", ForeignKey("certificate.serial"), primary_key=True),
    Column("purpose", String(16), nullable=False),
    Column("not_after", Moment, nullable=False),
    Column("state", String(16), nullable=False),
    Column("taken_until", Moment),
    Column("successor", SerialColumn),
    Column("error", String(64)),
    Index("campaign_item_queue", "campaign", "state", "purpose", "not_after"),
    Index("campaign_item_serial", "serial"),
)
"""One certificate of a campaign: where it stands, and what came of it. The rows are the queue."""

resident_intake = Table(
    "resident_intake",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1"), primary_key=True),
    Column("last", BigInteger, nullable=False),
)
"""One row: the number of the last event that was received. It is locked while events are written down."""

resident_event = Table(
    "resident_event",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("source", String(LONGEST_SOURCE), nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("holder", String(64), nullable=False),
    Column("effective_at", Moment, nullable=False),
    Column("received_at", Moment, nullable=False),
    Column("state", String(16), nullable=False),
    Column("taken_until", Moment),
    Column("serials", Text),
    Column("doubt", String(32)),
    Column("because", String(200)),
    UniqueConstraint("source", "sequence", "kind", "holder", "effective_at"),
    Index("resident_event_queue", "state", "effective_at", "number"),
    Index("resident_event_holder", "holder", "state"),
)
"""What registers told (docs/adr/0026). The rows are the queue; `serials` are the certificates that an event ends."""

notice = Table(
    "notice",
    metadata,
    Column("event", ForeignKey("resident_event.number"), primary_key=True, autoincrement=False),
    Column("holder", String(64), nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("serials", Text, nullable=False),
    Column("made_at", Moment, nullable=False),
)
"""What a holder is to be told: which certificates ended, and by what kind of event."""

crl = Table(
    "crl",
    metadata,
    Column("purpose", String(16), primary_key=True),
    Column("partition", String(16), primary_key=True),
    Column("number", Integer, nullable=False),
    Column("this_update", Moment, nullable=False),
    Column("next_update", Moment, nullable=False),
    Column("epoch", Integer, nullable=False, server_default="0"),
    Column("position", BigInteger, nullable=False),
    Column("ending_after", Moment),
    Column("entries", Integer, nullable=False),
    Column("delta_base", Integer),
    Column("delta_entries", Integer),
    CheckConstraint("(delta_base IS NULL) = (delta_entries IS NULL)", name="crl_delta"),
)
"""The newest publication of each list; the files are its projection. One of epoch 0 was made before they were told."""

crl_base = Table(
    "crl_base",
    metadata,
    Column("purpose", String(16), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("this_update", Moment, nullable=False),
    Column("next_update", Moment, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("ending_after", Moment),
    Column("entries", Integer, nullable=False),
)
"""Complete lists that deltas may be of (docs/adr/0020): from the base of the newest delta on, one row a publication."""

verifier = Table(
    "verifier",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("name", String(LONGEST_NAME), nullable=False, unique=True),
    Column("purpose", String(LONGEST_PURPOSE), nullable=False),
    Column("quota", Integer),
    Column("state", String(16), nullable=False),
)
"""Who may ask in `registered` mode, and for what (公的個人認証法 17, 36)."""

verifier_certificate = Table(
    "verifier_certificate",
    metadata,
    Column("serial", SerialColumn, primary_key=True),
    Column("verifier", ForeignKey("verifier.id"), nullable=False),
)
"""The client certificates that a verifier may bear."""

verifier_use = Table(
    "verifier_use",
    metadata,
    Column("verifier", ForeignKey("verifier.id"), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("used", BigInteger, nullable=False),
)
"""How many certificates a verifier asked about on a day in Japan, over all processes."""

look_up = Table(
    "look_up",
    metadata,
    Column("serial", SerialColumn, nullable=False),
    Column("at", Moment, nullable=False),
    Column("verifier", ForeignKey("verifier.id"), nullable=False),
    Column("finding", String(8), nullable=False),
    Index("look_up_serial", "serial", "at"),
)
"""What a holder may see of the use of a certificate. No key: two look-ups may be the same in all that is kept."""

counter = Table(
    "counter",
    metadata,
    Column("code", String(LONGEST_COUNTER_CODE), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("name", String(LONGEST_COUNTER_NAME), nullable=False),
    Column("municipality", String(6)),
    Column("state", String(8), nullable=False),
)
"""Counters that were added, or closed; every municipality has one without a row (enroll/counters.py)."""

clerk = Table(
    "clerk",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(LONGEST_CLERK_NAME), nullable=False),
    Column("state", String(16), nullable=False),
)

clerk_role = Table(
    "clerk_role",
    metadata,
    Column("clerk", ForeignKey("clerk.id"), primary_key=True),
    Column("counter", String(LONGEST_COUNTER_CODE), primary_key=True),
    Column("role", String(16), primary_key=True),
)

clerk_certificate = Table(
    "clerk_certificate",
    metadata,
    Column("serial", SerialColumn, primary_key=True),
    Column("clerk", ForeignKey("clerk.id"), nullable=False),
)
"""The client certificates that a clerk may bear."""

clerk_refusal = Table(
    "clerk_refusal",
    metadata,
    Column("client", String(40), primary_key=True),
    Column("minute", BigInteger, primary_key=True, autoincrement=False),
    Column("count", Integer, nullable=False),
)
"""How often a client was refused in a minute, over all processes: too often, and it is locked out for a while."""

case = Table(
    "office_case",
    metadata,
    Column("number", String(16), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("version", Integer, nullable=False),
    Column("counter", String(LONGEST_COUNTER_CODE), nullable=False),
    Column("holder", String(64), nullable=False),
    Column("purposes", String(32), nullable=False),
    Column("applicant", String(16), nullable=False),
    Column("documents", String(64), nullable=False),
    Column("event", String(16)),
    Column("express_ground", String(16)),
    Column("express_day", Date),
    Column("card", String(32)),
    Column("card_not_after", Moment),
    Column("card_mode", String(16)),
    Column("opened_at", Moment, nullable=False),
    Column("changed_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("opened_by", String(32), nullable=False),
    Column("checked_by", String(32)),
    Column("approved_by", String(32)),
    Column("ground", String(32)),
    Index("office_case_counter", "counter", "state", "number"),
    Index("office_case_holder", "holder", "opened_at"),
    Index("office_case_due", "state", "expires_at"),
)
"""Cases of the registration office; no attribute of a person (docs/adr/0025). "case" is a word of SQL's own."""

case_resident = Table(
    "case_resident",
    metadata,
    Column("number", ForeignKey("office_case.number"), primary_key=True),
    Column("data_key", ForeignKey("data_key.id"), nullable=False, index=True),
    Column("sealed", LargeBinary, nullable=False),
)
"""What the register answered for an open case, sealed; the row goes in the transaction that ends the case."""

case_certificate = Table(
    "case_certificate",
    metadata,
    Column("serial", ForeignKey("certificate.serial"), primary_key=True),
    Column("number", ForeignKey("office_case.number"), nullable=False, index=True),
    Column("version", Integer, nullable=False),
    Column("fingerprint", LargeBinary(32), index=True),
)
"""Which certificates were ordered in a case, from before they are signed on (rule R4), and the case's version then."""

reply = Table(
    "reply",
    metadata,
    Column("client", String(40), primary_key=True),
    Column("key", String(64), primary_key=True),
    Column("at", Moment, nullable=False, index=True),
    Column("done", Integer, nullable=False),
    Column("data_key", ForeignKey("data_key.id"), nullable=False, index=True),
    Column("sealed", LargeBinary, nullable=False),
)
"""What was answered to a request with an Idempotency-Key, sealed, for a day; not `done` while it is worked on."""

console_session = Table(
    "console_session",
    metadata,
    Column("id", LargeBinary(32), primary_key=True),
    Column("clerk", String(32), nullable=False, index=True),
    Column("counter", String(LONGEST_COUNTER_CODE)),
    Column("at_hand", String(16)),
    Column("began_at", Moment, nullable=False),
    Column("seen_at", Moment, nullable=False),
)
"""Who sits at which counter now, by the SHA-256 of the browser's cookie, and the case that lies before them."""

lease = Table(
    "lease",
    metadata,
    Column("job", String(32), primary_key=True),
    Column("until", Moment, nullable=False),
)
"""Who does a periodic job: whoever takes the row does, until the moment given."""
