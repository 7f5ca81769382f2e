"""`jpki ceremony`: the life of CA keys, each step on a signed record."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from ca.plan import Plan, default_plan
from ca.record import CheckedRecord, check_record, digest, fingerprint
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.errors import JpkiError, Kind
from jpki.ids import GenerationId
from jpki.text import Text
from server.cli.frame import BadInput, HomeType, Output, command, home_option, opened, plan_path
from server.home import Home
from server.plan_file import read_plan
from server.store.ceremonies import Ceremony
from server.wiring import Rooms

_BOTH = "both"
_generation = click.option("--generation", "identifier", required=True, help="Its id, such as s1.")
_plan = click.option("--plan", "plan_file", type=plan_path, help="Who is present, TOML; default: the local operator.")


@click.group("ceremony")
def ceremony() -> None:
    """Make, give up and destroy CA keys, each act on a signed record."""


@command("new-generation")
@home_option
@click.option(
    "--ca", type=click.Choice([*map(str, Purpose), _BOTH]), help="Which CA gets its next key; both: the holders' two."
)
@click.option("--plan", "plan_file", type=plan_path, help="The plan, TOML, in place of --ca.")
def new_generation(home: Home, ca: str | None, plan_file: Path | None, output: Output) -> None:
    """Make a CA's next key and root beside the old ones, under the same name; issuing moves to it."""
    if (ca is None) == (plan_file is None):
        raise click.UsageError("Give either --ca or --plan.")
    rooms = opened(home)
    if plan_file is None:
        cas = HOLDER_PURPOSES if ca == _BOTH else [Purpose(str(ca))]
        numbers = {each: rooms.store.generations.made()[each] + 1 for each in cas}
        plan = default_plan(rooms.profile, numbers, "the next generation")
    else:
        plan = _read(plan_file, rooms)
    held = rooms.ceremonies.new_generation(plan, _said("new-generation", plan_file, "" if ca is None else f"--ca {ca}"))
    made = ", ".join(each.id for each in plan.generations)
    head = Text(f"新しい世代 {made} を作成し、発行を移しました。", f"Made {made}; issuing moved to what is new.")
    _tell(rooms, [held], head, output)


@command("compromise")
@home_option
@_generation
@_plan
def compromise(home: Home, identifier: str, plan_file: Path | None, output: Output) -> None:
    """Give up a generation whose key is compromised: all that it signed is revoked, by one row, at once."""
    rooms = opened(home)
    line = _said("compromise", plan_file, f"--generation {identifier}")
    held = rooms.ceremonies.compromise(GenerationId(identifier), _attendance(plan_file, rooms), line)
    # It holds from here on, whatever becomes of the lists and the record.
    output.progress(
        Text(
            f"世代 {identifier} を危殆化と記録しました。",
            f"Generation {identifier} is on record as compromised.",
        )
    )
    head = Text("それを示す失効リストを公開しました。", "The lists that say so are published.")
    _tell(rooms, [rooms.ceremonies.finish(held)], head, output)


@command("retire")
@home_option
@_generation
@_plan
def retire(home: Home, identifier: str, plan_file: Path | None, output: Output) -> None:
    """Destroy the key of a generation that has ended, and its OCSP responders' keys."""
    rooms = opened(home)
    line = _said("retire", plan_file, f"--generation {identifier}")
    held = rooms.ceremonies.retire(GenerationId(identifier), _attendance(plan_file, rooms), line)
    head = Text(f"世代 {identifier} の鍵を廃棄しました。", f"The key of generation {identifier} is destroyed.")
    _tell(rooms, [held], head, output)


@command("resume")
@home_option
def resume(home: Home, output: Output) -> None:
    """Finish ceremonies that were interrupted, and write records that are missing."""
    rooms = opened(home)
    finished = rooms.ceremonies.resume("jpki ceremony resume")
    head = Text(f"{len(finished)}件のセレモニーを終えました。", f"Finished {len(finished)} ceremonies.")
    _tell(rooms, finished, head, output)


@command("verify")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--home", type=HomeType(), envvar="JPKI_HOME", help="Compare with this home's CAs and ledger too.")
def verify(file: Path, home: Home | None, output: Output) -> None:
    """Check the signatures of a ceremony's record, by the certificates in it alone."""
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        text = ""
    checked = check_record(text)
    if home is not None:
        _require_ours(opened(home), checked, text)
    signers = [
        {"generation": each["generation"], "sha256": each["sha256"]} for each in _entries(checked.body, "signed_by")
    ]
    fields = {
        "ceremony": checked.body["ceremony"],
        "kind": checked.body["kind"],
        "sha256": digest(text),
        "signed_by": signers,
        "compared": home is not None,
    }
    output.result("jpki.ceremony-verify/1", fields, [*_verdict(checked, signers, compared=home is not None)])


for each in (new_generation, compromise, retire, resume, verify):
    ceremony.add_command(each)


def _read(plan_file: Path, rooms: Rooms) -> Plan:
    try:
        return read_plan(plan_file, rooms.profile)
    except JpkiError as error:
        raise BadInput(error) from error


def _attendance(plan_file: Path | None, rooms: Rooms) -> Plan:
    return default_plan(rooms.profile, {}, "as the operator asked") if plan_file is None else _read(plan_file, rooms)


def _said(name: str, plan_file: Path | None, more: str) -> str:
    """Return the command as the record tells it, without a path of the machine."""
    plan = "" if plan_file is None else f"--plan {plan_file.name}"
    return " ".join(filter(None, ["jpki ceremony", name, more, plan]))


def _tell(rooms: Rooms, held: Sequence[Ceremony], head: Text, output: Output) -> None:
    files = [(each, rooms.ceremonies.record_file(each)) for each in held]
    fields = [{"ceremony": each.number, "kind": str(each.kind), "record": str(file)} for each, file in files]
    lines = [Text(f"  署名付き記録：{file}", f"  signed record: {file}") for _, file in files]
    output.result("jpki.ceremony/1", {"held": fields}, [head, *lines])


def _entries(body: Mapping[str, Any], name: str) -> Sequence[Mapping[str, str]]:
    entries: Sequence[Mapping[str, str]] = body[name]
    return entries


def _require_ours(rooms: Rooms, checked: CheckedRecord, text: str) -> None:
    ours = {fingerprint(each.certificate) for purpose in Purpose for each in rooms.store.generations.ever(purpose)}
    known = {each.record for each in rooms.store.ceremonies.closed()}
    if text not in known or not {fingerprint(each) for each in checked.signers} <= ours:
        raise JpkiError(
            Kind.CONFLICT,
            "record-foreign",
            Text("この記録はこのホームのものではありません。", "The record is not of this home."),
            Text("ホームと ceremonies フォルダーを確認してください。", "Check the home, and its ceremonies folder."),
        )


def _verdict(checked: CheckedRecord, signers: Sequence[Mapping[str, str]], *, compared: bool) -> Sequence[Text]:
    number, kind = checked.body["ceremony"], checked.body["kind"]
    how = (
        Text("ホームの台帳とも一致します。", "It is the home's own.")
        if compared
        else Text("証明書の指紋を控えと比べてください。", "Compare the fingerprints with what you know.")
    )
    return [
        Text(f"第{number}回のセレモニー（{kind}）：署名は正しい。", f"Ceremony {number}, {kind}: the signatures hold."),
        *(
            Text(f"  {each['generation']}  {each['sha256']}", f"  {each['generation']}  {each['sha256']}")
            for each in signers
        ),
        how,
    ]
