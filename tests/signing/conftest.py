from collections.abc import Callable

import pytest

from signing.report import FileVerdict
from signing.validation import Validation
from signing.verify import verify
from tests.signing.town import Town, make_town

Judge = Callable[[bytes, Validation], FileVerdict]


@pytest.fixture(scope="session")
def town() -> Town:
    return make_town()


@pytest.fixture(scope="session")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Judge:
    path = tmp_path_factory.mktemp("signing") / "document"

    def _judge(document: bytes, validation: Validation) -> FileVerdict:
        path.write_bytes(document)
        return verify(path, validation)

    return _judge
