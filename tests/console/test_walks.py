"""What ends, holds and gives back certificates, in a browser: by keyboard, with four eyes, at two counters."""

import time
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from playwright.sync_api import Page

from jpki.acts import LOCAL_OPERATOR
from jpki.certificate import Purpose
from jpki.ids import HolderCode, parse_serial
from jpki.resident_event import EventNumber, EventState, Kind, ResidentEvent, SourceName
from tests.chromium import LARGE, SMALL, require_for_everyone
from tests.console.certificates import adult, delivered
from tests.console.office import ELSEWHERE, FRONT, OTHER_TOWN, SECOND, TOWN, OfficeServed, focused

pytestmark = pytest.mark.slow

SIGNING, AUTHENTICATION = Purpose.SIGNING, Purpose.AUTHENTICATION


def press(page: Page, *keys: str) -> int:
    """Press keys as a clerk does, once the page has the cursor where it belongs; return how many they are."""
    focused(page)
    for key in keys:
        page.keyboard.press(key)
    return len(keys)


def asked(page: Page, office: OfficeServed, serial: str) -> ocsp.OCSPResponse:
    """Ask the served office over HTTP, as a verifier does."""
    number = parse_serial(serial)
    octets = office.rooms.store.ledger.certificates([number])[number]
    status = office.rooms.store.ledger.find([number])[number].status
    issuer = office.rooms.store.generations.find(status.generation).certificate
    certificate = x509.load_der_x509_certificate(octets)
    question = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, SHA1()).build()  # noqa: S303 - RFC 5019
    headers = {"Content-Type": "application/ocsp-request"}
    answer = page.request.post(f"{office.url}/ocsp", data=question.public_bytes(Encoding.DER), headers=headers)
    return ocsp.load_der_ocsp_response(answer.body())


def has_no_code(page: Page, holder: HolderCode) -> bool:
    return holder not in page.url and holder not in page.title()


def test_a_revocation_by_keyboard_and_what_verifiers_hear(office: OfficeServed) -> None:
    holder = adult(range(40, 47))
    pair = delivered(office, holder)
    with office.seated(FRONT) as page:
        assert asked(page, office, pair[SIGNING]).certificate_status is ocsp.OCSPCertStatus.GOOD
        page.goto(f"{office.url}/console/open/revocation")
        focused(page)
        page.keyboard.type(holder)
        # To the first reason, "the holder asked for it", and on to the preview.
        press(page, "Tab", "Space", "Enter")
        page.wait_for_selector("h2#effects")
        assert page.inner_text("main").count("失効します。") == 2
        assert has_no_code(page, holder)
        assert asked(page, office, pair[SIGNING]).certificate_status is ocsp.OCSPCertStatus.GOOD
        press(page, "Space", "Enter")
        page.wait_for_url("**/console/cases/*")
        done = time.monotonic()
        for serial in pair.values():
            answer = asked(page, office, serial)
            while answer.certificate_status is ocsp.OCSPCertStatus.GOOD:
                assert time.monotonic() - done < 1
                answer = asked(page, office, serial)
            assert answer.certificate_status is ocsp.OCSPCertStatus.REVOKED
            assert answer.revocation_reason is x509.ReasonFlags.cessation_of_operation
        # The page looks again by itself until verifiers hear it of both.
        page.locator(".spoken:has-text('失効')").nth(1).wait_for()
        assert "に失効しました。" in page.inner_text("[role=status]")
        assert has_no_code(page, holder)


def test_a_lost_card_at_night_takes_two_key_actions_and_comes_back_with_four_eyes(office: OfficeServed) -> None:
    holder = adult(range(47, 54))
    pair = delivered(office, holder)
    with office.seated(FRONT, scripts=False) as page, office.seated(SECOND) as other:
        page.goto(f"{office.url}/console/open/hold")
        focused(page)
        page.keyboard.type(holder)
        actions = press(page, "Enter")
        page.wait_for_selector("h2#effects")
        actions += press(page, "Enter")
        page.wait_for_url("**/console/cases/*")
        assert actions == 2
        answer = asked(other, office, pair[AUTHENTICATION])
        assert answer.revocation_reason is x509.ReasonFlags.certificate_hold
        page.goto(f"{office.url}/console/certificates/{pair[AUTHENTICATION]}")
        page.click("button:has-text('一時停止の解除')")
        page.wait_for_selector("h2#effects")
        press(page, "Space", "Enter")
        page.wait_for_url("**/console/cases/*")
        assert "ほかの職員の承認を待っています。" in page.inner_text("main")
        other.goto(f"{office.url}/console/approvals")
        focused(other)
        assert other.locator("main h2 a").first.evaluate("each => each === document.activeElement")
        # The oldest is first; which one that is depends on what else waits at this counter.
        other.get_by_role("link", name=page.url.rpartition("/")[2]).press("Enter")
        other.wait_for_url("**/console/cases/*")
        press(other, "Enter")
        other.wait_for_selector("text=「実行」をする職員を待っています。")
        # The waiting page goes on by itself, without scripts.
        page.wait_for_selector("button:has-text('一時停止を解除する')")
        press(page, "Enter")
        page.wait_for_selector("text=に一時停止を解除しました。")
        assert asked(other, office, pair[AUTHENTICATION]).certificate_status is ocsp.OCSPCertStatus.GOOD
        assert asked(other, office, pair[SIGNING]).certificate_status is ocsp.OCSPCertStatus.REVOKED


def test_a_case_is_found_by_its_number_and_taken_over_at_another_counter(office: OfficeServed) -> None:
    holder = adult(range(54, 61))
    delivered(office, holder)
    with office.seated(FRONT) as page, office.seated(ELSEWHERE) as elsewhere:
        page.goto(f"{office.url}/console/open/revocation")
        focused(page)
        page.keyboard.type(holder)
        page.check("#event-key-leaked")
        page.check("#applicant-third-party")
        page.keyboard.press("Enter")
        page.wait_for_selector("h2#effects")
        press(page, "Space", "Enter")
        page.wait_for_url("**/console/cases/*")
        number = page.url.rpartition("/")[2]
        elsewhere.fill("[name=identifier]", number)
        elsewhere.keyboard.press("Enter")
        elsewhere.wait_for_url("**/console/search")
        assert has_no_code(elsewhere, holder)
        elsewhere.click(f"text={number}")
        press(elsewhere, "Enter")
        elsewhere.wait_for_selector("button:has-text('承認する')")
        press(elsewhere, "Enter")
        elsewhere.wait_for_selector("button:has-text('証明書を失効する')")
        press(elsewhere, "Enter")
        elsewhere.wait_for_selector("text=に失効しました。")
    assert office.rooms.store.cases.of_holder(holder)[0].counter == OTHER_TOWN


def test_the_pages_are_for_everyone(office: OfficeServed) -> None:
    holder = adult(range(61, 68))
    pair = delivered(office, holder)
    case = office.rooms.store.cases.of_holder(holder)[0].number
    # Somebody else: whoever moved has no signing certificate any more.
    event = doubtful(office, adult(range(68, 75)))
    wish: dict[str, str] = {"holder": holder, "event": "record-wrong", "applicant": "legal-proxy", "which": "signing"}
    for width, language in ((SMALL, "both"), (LARGE, "en")):
        with office.seated(FRONT, width, language=language) as page:
            for address in (
                "/search",
                f"/certificates/{pair[SIGNING]}",
                f"/cases/{case}",
                "/approvals",
                "/open/revocation",
                "/open/hold",
                "/open/release",
                "/open/pin-reset",
                "/events",
                f"/events/{event}",
            ):
                page.goto(f"{office.url}/console{address}")
                require_for_everyone(page, width)
            page.goto(f"{office.url}/console/certificates/{pair[AUTHENTICATION]}")
            page.click("summary")
            require_for_everyone(page, width)
            for address, fields in (
                ("/search", {"identifier": str(holder)}),
                ("/holder", {"holder": str(holder)}),
                ("/open/revocation", wish),
                ("/open/revocation", wish | {"event": "card-lost"}),
                ("/open/hold", wish),
            ):
                posted(page, f"/console{address}", fields)
                require_for_everyone(page, width)
    assert office.said == []


def doubtful(office: OfficeServed, holder: HolderCode) -> EventNumber:
    """Let the town tell of two things by one number, and return the event that a clerk has to look at."""
    events, now = office.rooms.store.events, office.rooms.clock()
    moved = ResidentEvent(source=SourceName(TOWN), sequence=1, kind=Kind.MOVED, holder=holder, effective_at=now)
    for each in (moved, replace(moved, kind=Kind.DIED)):
        events.receive([each], LOCAL_OPERATOR, now)
    (listed,) = events.listed(EventState.REFUSED, 0, 9, SourceName(TOWN))
    return listed.number


def posted(page: Page, address: str, fields: dict[str, str]) -> None:
    """Send a form from the present page, as one of its own would be sent."""
    with page.expect_navigation():
        page.evaluate(
            """([address, fields]) => {
                const form = document.createElement('form');
                form.method = 'post'; form.action = address;
                for (const [name, value] of Object.entries(fields)) {
                    const input = document.createElement('input');
                    input.type = 'hidden'; input.name = name; input.value = value; form.append(input);
                }
                document.body.append(form); form.submit();
            }""",
            [address, fields],
        )
