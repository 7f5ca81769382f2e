"""The requests of sample cards that are renewed, as a campaign asks for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.serialization import Encoding

from jpki.certificate import Purpose
from jpki.ids import HolderCode, Serial
from jpki.ports import CertificateRecord
from jpki.signature import KeySpec
from server.sample.holders import CODE_PREFIX
from server.sample.keys import card_request, last_number
from server.sample.town import card_of


@dataclass(frozen=True, slots=True)
class SampleCards:
    """See `enroll.campaign.CardRequests`. A sample card has two keys of each kind: its first, and its next."""

    spec: KeySpec

    def __call__(self, records: Sequence[CertificateRecord]) -> Mapping[Serial, bytes]:
        """Return the requests of those that are sample holders: the next keys are counted from the end."""
        return {
            record.serial: card_request(
                self.spec, next_card_of(self.spec, _number(record.holder), record.purpose)
            ).public_bytes(Encoding.DER)
            for record in records
            if record.holder.startswith(CODE_PREFIX)
        }


def next_card_of(spec: KeySpec, number: int, purpose: Purpose) -> int:
    """Return the number of the n-th holder's next key for this purpose: they are counted from the end."""
    return last_number(spec) - card_of(number, purpose)


def _number(code: HolderCode) -> int:
    return int(code.removeprefix(CODE_PREFIX))
