"""What an old certificate still tells of its holder."""

from dataclasses import replace
from datetime import date

from asn1crypto import core
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from enroll.renewal import holder_of
from jpki.certificate import Purpose
from jpki.holder import Gender
from jpki.signature import signed
from tests.ca.world import HANAKO, authority, draft

_WORDS = st.text(
    st.one_of(
        st.characters(min_codepoint=0x3040, max_codepoint=0x9FFF, exclude_categories=["Cn"]),
        st.sampled_from("𠮷𠀋𡈽髙﨑"),  # outside the basic plane, or beside their common forms
    ),
    min_size=1,
    max_size=200,
)


@given(name=_WORDS, address=_WORDS, born=st.dates(date(1870, 1, 1), date(2026, 1, 1)), gender=st.sampled_from(Gender))
def test_a_holder_is_read_back_whole_and_as_cryptography_reads_it(
    name: str, address: str, born: date, gender: Gender
) -> None:
    holder = replace(
        HANAKO,
        name=name,
        name_substitutes="0" * len(name),
        birth_date=born,
        gender=gender,
        address=address,
        address_substitutes="1" * len(address),
    )
    generation, keys = authority(Purpose.SIGNING)
    octets = signed(keys.signer(generation.key), draft(Purpose.SIGNING, holder).to_be_signed())
    certificate = x509.load_der_x509_certificate(octets)
    assert holder_of(holder.code, certificate, holder.municipality.code) == holder
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    told = [core.UTF8String.load(each.value, strict=True).native for each in names if isinstance(each, x509.OtherName)]
    assert (told[0], told[3]) == (name, address)
