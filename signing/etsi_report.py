"""Verdicts as a signature validation report of ETSI TS 119 102-2 (V1.2.1), in XML, for archives and other judges.

It says what the verdict says, in every format that is judged: pyHanko's own reports are of PDF alone, and of pyHanko's
judgement. Its bindings of the schema write it. Certificates are named by their SHA-256, for they hold attributes.
"""

# mypy: allow-untyped-calls
# The bindings bear no types.

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from pyhanko.generated.etsi import ts_11910202 as etsi
from pyhanko.generated.etsi import xades
from pyhanko.generated.w3c import xmldsig_core
from xsdata.formats.dataclass.serializers import XmlSerializer
from xsdata.formats.dataclass.serializers.config import SerializerConfig
from xsdata.models.datatype import XmlDateTime

from jpki.clock import read_moment, whole_second
from signing.policies import Basis, ValidationPolicy
from signing.report import Check, FileVerdict, Outcome, SignatureVerdict, Step
from signing.verdict import Indication

_URN = "urn:etsi:019102"
_OURS = "urn:jpki:verify"
_SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
_NAMESPACES = {
    "vr": "http://uri.etsi.org/19102/v1.2.1#",
    "XAdES": "http://uri.etsi.org/01903/v1.3.2#",
    "ds": "http://www.w3.org/2000/09/xmldsig#",
}
_MAIN: Mapping[Indication, str] = {
    Indication.TOTAL_PASSED: "total-passed",
    Indication.TOTAL_FAILED: "total-failed",
    Indication.INDETERMINATE: "indeterminate",
}
_OF_CHECK = {Outcome.PASSED: "passed", Outcome.FAILED: "failed", Outcome.UNDECIDED: "indeterminate"}
_PROCESSES: Mapping[Basis, str] = {
    Basis.TIME_STAMP: "LTVM",
    Basis.DOCUMENT_TIME_STAMP: "LTA",
    Basis.GIVEN: "Basic",
    Basis.NOW: "Basic",
}
"""Which of the standard's processes the verdict is of: basic, with time, with long-term material (EN 319 102-1, 5)."""


def etsi_report(verdicts: Sequence[FileVerdict], policy: ValidationPolicy, made_at: datetime) -> bytes | None:
    """Return the report's XML on all signatures of these files, None where there is no signature to report on."""
    numbered = [(verdict.path, each) for verdict in verdicts for each in verdict.signatures]
    if not numbered:
        return None
    certificates = sorted({sha256 for _, each in numbered for sha256 in _certificates(each)})
    report = etsi.ValidationReport(
        signature_validation_report=tuple(
            _signature(number, path, verdict, policy, made_at) for number, (path, verdict) in enumerate(numbered, 1)
        ),
        signature_validation_objects=etsi.ValidationObjectListType(tuple(map(_certificate, certificates)))
        if certificates
        else None,
    )
    text: str = XmlSerializer(config=SerializerConfig(indent="  ")).render(report, ns_map=_NAMESPACES)
    return text.encode()


def _signature(
    number: int, path: str, verdict: SignatureVerdict, policy: ValidationPolicy, made_at: datetime
) -> etsi.SignatureValidationReportType:
    time = next((each.evidence for each in verdict.checks if each.name is Step.TIME), {})
    basis, at = time.get("basis"), time.get("at")
    return etsi.SignatureValidationReportType(
        signature_identifier=etsi.SignatureIdentifierType(
            hash_only=False, doc_hash_only=False, daidentifier=path, id=f"signature-{number}"
        ),
        validation_constraints_evaluation_report=etsi.ValidationConstraintsEvaluationReportType(
            signature_validation_policy=etsi.SignatureValidationPolicyType(
                signature_policy_identifier=xades.SignaturePolicyIdentifierType(signature_policy_implied=""),
                policy_name=policy.name,
            ),
            validation_constraint=tuple(map(_constraint, verdict.checks)),
        ),
        validation_time_info=etsi.ValidationTimeInfoType(
            validation_time=_moment(made_at),
            best_signature_time=etsi.POEType(
                poetime=_moment(read_moment(str(at)) if at else made_at),
                # The standard knows three: of the validation itself, handed in, by policy.
                type_of_proof=f"{_URN}:poetype:{'provided' if basis == Basis.GIVEN else 'validation'}",
            ),
        ),
        signer_information=_signer(verdict),
        signature_validation_process=etsi.SignatureValidationProcessType(
            signature_validation_process_id=f"{_URN}:validationprocess:{_PROCESSES[Basis(str(basis or Basis.NOW))]}"
        ),
        signature_validation_status=_status(verdict),
    )


def _status(verdict: SignatureVerdict) -> etsi.ValidationStatusType:
    anchors = [sha256 for check in verdict.checks if check.name is Step.PATH for sha256 in _anchor(check)]
    return etsi.ValidationStatusType(
        main_indication=f"{_URN}:mainindication:{_MAIN[verdict.indication]}",
        sub_indication=(f"{_URN}:subindication:{verdict.sub_indication}",) if verdict.sub_indication else (),
        associated_validation_report_data=tuple(
            etsi.ValidationReportDataType(trust_anchor=_reference(each)) for each in anchors
        ),
    )


def _constraint(check: Check) -> etsi.IndividualValidationConstraintReportType:
    """Return one of our checks; what was not applicable was not applied."""
    came_out = _OF_CHECK.get(check.outcome)
    facts = {"reason": check.reason.en} | {name: str(value) for name, value in check.evidence.items() if value}
    return etsi.IndividualValidationConstraintReportType(
        validation_constraint_identifier=f"{_OURS}:check:{check.name}",
        validation_constraint_parameter=tuple(
            etsi.TypedDataType(type_value=f"{_OURS}:fact:{name}", value=value) for name, value in facts.items()
        ),
        constraint_status=etsi.ConstraintStatusType(
            status=f"{_URN}:constraintStatus:{'disabled' if came_out is None else 'applied'}"
        ),
        validation_status=None
        if came_out is None
        else etsi.ValidationStatusType(main_indication=f"{_URN}:mainindication:{came_out}"),
    )


def _signer(verdict: SignatureVerdict) -> etsi.SignerInformationType | None:
    if verdict.signer is None:
        return None
    return etsi.SignerInformationType(
        signer_certificate=_reference(verdict.signer.sha256), signer=verdict.signer.identifier
    )


def _certificates(verdict: SignatureVerdict) -> Iterator[str]:
    """Yield the SHA-256 of every certificate that is referred to."""
    if verdict.signer is not None:
        yield verdict.signer.sha256
    for check in verdict.checks:
        yield from _anchor(check)


def _anchor(check: Check) -> Iterator[str]:
    sha256 = check.evidence.get("anchor_sha256")
    if sha256 is not None:
        yield str(sha256)


def _certificate(sha256: str) -> etsi.ValidationObjectType:
    digest = xades.DigestAlgAndValueType(
        digest_method=xmldsig_core.DigestMethod(algorithm=_SHA256),
        digest_value=xmldsig_core.DigestValue(bytes.fromhex(sha256)),
    )
    return etsi.ValidationObjectType(
        id=f"certificate-{sha256}",
        object_type=f"{_URN}:validationObject:certificate",
        validation_object_representation=etsi.ValidationObjectRepresentationType(digest_alg_and_value=digest),
    )


def _reference(sha256: str) -> etsi.VOReferenceType:
    return etsi.VOReferenceType(voreference=(f"certificate-{sha256}",))


def _moment(moment: datetime) -> XmlDateTime:
    return XmlDateTime.from_datetime(whole_second(moment))
