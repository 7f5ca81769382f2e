"""The XML vocabulary of signed documents: XMLDSig names, safe parsing, and where an e-Tax document bears what."""

from collections.abc import Iterator

from lxml import etree

from jpki.errors import JpkiError, Kind
from jpki.text import Text
from signing.caps import DEEPEST_XML, LARGEST_XML_TEXT

DSIG = "http://www.w3.org/2000/09/xmldsig#"
SIGNATURE = f"{{{DSIG}}}Signature"
NAMESPACES = {"ds": DSIG}

C14N_1_0 = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
CANONICAL = frozenset({C14N_1_0, EXCLUSIVE})
"""The canonical forms that this room computes itself."""
ENVELOPED = f"{DSIG}enveloped-signature"

_ID_ATTRIBUTES = frozenset({"id", "ID", "Id"})
"""e-Tax writes `id`, and `ID` within IT; XAdES writes `Id`. With any prefix, as verifiers differ on that."""


def parse(octets: bytes) -> etree._Element:
    """Parse XML without entities, network and huge trees, and return its root.

    Raises:
        JpkiError: MALFORMED `xml-dtd`: a document type declaration has no place in a signed document; TOO_LARGE
            `xml-beyond-limits`: it passes libxml2's own limits.
        etree.XMLSyntaxError: not well-formed.
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(octets, parser)
    except etree.XMLSyntaxError as error:
        if error.code == etree.ErrorTypes.ERR_RESOURCE_LIMIT:  # type: ignore[attr-defined] # the stubs lack it
            raise _beyond_limits() from error
        raise
    if root.getroottree().docinfo.internalDTD is not None:
        raise JpkiError(
            Kind.MALFORMED,
            "xml-dtd",
            Text("文書型宣言（DTD）を含むXMLは受け付けません。", "XML with a document type declaration is not taken."),
            Text("DTDを取り除いて作り直してください。", "Make the document again without a DTD."),
        )
    return root


def _beyond_limits() -> JpkiError:
    megabytes = LARGEST_XML_TEXT // 10**6
    return JpkiError(
        Kind.TOO_LARGE,
        "xml-beyond-limits",
        Text(
            f"XMLが限度（入れ子{DEEPEST_XML}段、一続きの文字{megabytes} MB、実体参照）を超えるため、読み取りません。",
            f"The XML nests deeper than {DEEPEST_XML} levels, holds a text of more than {megabytes} MB, or entities "
            "within entities, and is not read.",
        ),
        Text("文書を分けて作り直してください。", "Make the document again, in parts."),
    )


def elements(parent: etree._Element) -> Iterator[etree._Element]:
    """Yield the child elements of `parent`, without comments and processing instructions."""
    return parent.iterchildren(tag=etree.Element)


def identifiers(root: etree._Element) -> Iterator[str]:
    """Yield the value of every id attribute in the tree, repeated ones repeatedly."""
    for element in root.iter(tag=etree.Element):
        yield from _own_identifiers(element)


def own_identifier(element: etree._Element) -> str | None:
    """Return the value of the element's id attribute, None where it has none."""
    return next(_own_identifiers(element), None)


def _own_identifiers(element: etree._Element) -> Iterator[str]:
    return (str(value) for name, value in element.items() if etree.QName(name).localname in _ID_ATTRIBUTES)


def canonical(element: etree._Element, form: str) -> bytes:
    """Return an element's canonical form in its place, by one of the algorithms `CANONICAL`.

    Parsed anew, it carries the namespaces in scope there.
    """
    alone = etree.fromstring(etree.tostring(element, with_tail=False))
    return etree.tostring(alone, method="c14n", exclusive=form == EXCLUSIVE, with_comments=False)


def is_etax(root: etree._Element) -> bool:
    """Tell whether `root` is the DATA element of an e-Tax document."""
    return etree.QName(root).localname == "DATA"


def procedure(root: etree._Element) -> etree._Element | None:
    """Return the procedure element, such as RKO0010: DATA's first child, which bears an id."""
    first = next(elements(root), None)
    if first is None or first.tag == SIGNATURE or own_identifier(first) is None:
        return None
    return first
