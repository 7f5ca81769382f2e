"""`jpki clerk` and `jpki counter`: who works at which counter of the registration office, and in which roles."""

from pathlib import Path

import click

from enroll.counters import require_delegated
from jpki.acts import LOCAL_OPERATOR
from jpki.certificate import Purpose
from jpki.clerk import EVERY_COUNTER, LONGEST_CLERK_NAME, Clerk, ClerkId, ClerkState, Role
from jpki.clock import iso
from jpki.counter import LONGEST_COUNTER_CODE, LONGEST_COUNTER_NAME, Counter, CounterCode, CounterKind, CounterState
from jpki.errors import JpkiError, Kind
from jpki.ids import Serial, format_serial
from jpki.randomness import system_randomness
from jpki.text import Text
from server.clerk_bundle import Certified, certified_clerk
from server.cli.frame import Output, command, home_option, opened
from server.home import Home, new_directory, write_new
from server.notary import no_root
from server.wiring import Rooms

_STATES = {ClerkState.ACTIVE: Text("在職", "active"), ClerkState.SUSPENDED: Text("停止中", "suspended")}
_KINDS = {
    CounterKind.MUNICIPALITY: Text("市区町村", "municipality"),
    CounterKind.POST_OFFICE: Text("郵便局", "post office"),
    CounterKind.CONSULATE: Text("在外公館", "consulate"),
}
"""Those that can be added."""
_out_option = click.option(
    "--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Where bundle and password go."
)
_id = click.argument("clerk_id")


@click.group("clerk")
def clerk() -> None:
    """Give clerks their roles and their client certificates."""


@command("add")
@home_option
@click.option("--name", required=True, help="The clerk's name; it is in no certificate, no log and no audit.")
@click.option("--counter", "places", multiple=True, required=True, help="A counter's code, or * for every one.")
@click.option("--role", "roles", multiple=True, required=True, type=click.Choice([str(each) for each in Role]))
@_out_option
def add(home: Home, name: str, places: tuple[str, ...], roles: tuple[str, ...], out: Path, output: Output) -> None:
    """Add a clerk with these roles at these counters, and write the client certificate for a year as PKCS#12."""
    rooms = opened(home)
    _require_length(name, LONGEST_CLERK_NAME)
    wanted = {_place(rooms, place): frozenset(map(Role, roles)) for place in places}
    with new_directory(out):
        known = rooms.store.clerks.add(name, wanted, LOCAL_OPERATOR, rooms.clock())
        certified, files = _certify(rooms, known, out, alone=False)
    _report(rooms, known, certified, files, output)


@command("certify")
@_id
@home_option
@click.option("--alone", is_flag=True, help="What the clerk had until now is not taken any more.")
@_out_option
def certify(clerk_id: str, home: Home, out: Path, output: Output, *, alone: bool) -> None:
    """Give a clerk another client certificate for a year."""
    rooms = opened(home)
    known = rooms.store.clerks.clerk(ClerkId(clerk_id))
    with new_directory(out):
        certified, files = _certify(rooms, known.id, out, alone=alone)
    _report(rooms, known.id, certified, files, output)


@command("suspend")
@_id
@home_option
def suspend(clerk_id: str, home: Home, output: Output) -> None:
    """Take nothing from a clerk any more, from the next request on."""
    _change(home, ClerkId(clerk_id), ClerkState.SUSPENDED, output)


@command("resume")
@_id
@home_option
def resume(clerk_id: str, home: Home, output: Output) -> None:
    """Let a suspended clerk act again."""
    _change(home, ClerkId(clerk_id), ClerkState.ACTIVE, output)


@command("list")
@home_option
def show_clerks(home: Home, output: Output) -> None:
    """Show all clerks and their roles."""
    found = opened(home).store.clerks.clerks()
    output.result("jpki.clerks/1", {"clerks": [_fields(each) for each in found]}, [_line(each) for each in found])


for each in (add, certify, suspend, resume, show_clerks):
    clerk.add_command(each)


@click.group("counter")
def counter() -> None:
    """Add counters beside those that every municipality has under its code."""


@command("add")
@click.argument("code")
@home_option
@click.option("--kind", required=True, type=click.Choice([str(each) for each in _KINDS]))
@click.option("--name", required=True, help="As people call it.")
@click.option("--municipality", help="The six-digit code of the municipality that delegated it.")
def add_counter(code: str, home: Home, kind: str, name: str, municipality: str | None, output: Output) -> None:
    """Add a counter, such as a post office to which a municipality delegates."""
    rooms = opened(home)
    _require_length(code, LONGEST_COUNTER_CODE)
    _require_length(name, LONGEST_COUNTER_NAME)
    require_delegated(CounterKind(kind), municipality)
    new = Counter(code=CounterCode(code), kind=CounterKind(kind), name=name, municipality=municipality)
    rooms.store.counters.add(new, LOCAL_OPERATOR, rooms.clock())
    output.result("jpki.counter/1", _counter_fields(new), [_counter_line(new)])


@command("close")
@click.argument("code")
@home_option
def close_counter(code: str, home: Home, output: Output) -> None:
    """Let a counter take no case any more; its open cases can be taken over elsewhere."""
    rooms = opened(home)
    rooms.store.counters.close(CounterCode(code), LOCAL_OPERATOR, rooms.clock())
    known = rooms.store.counters.counter(CounterCode(code))
    output.result("jpki.counter/1", _counter_fields(known), [_counter_line(known)])


@command("list")
@home_option
def show_counters(home: Home, output: Output) -> None:
    """Show the counters that were added, or closed."""
    found = opened(home).store.counters.added()
    every = Text("どの市区町村にも、その団体コードの窓口があります。", "Every municipality has one under its code.")
    lines = [*map(_counter_line, found), every]
    output.result("jpki.counters/1", {"counters": [_counter_fields(each) for each in found]}, lines)


for each in (add_counter, close_counter, show_counters):
    counter.add_command(each)


def _certify(rooms: Rooms, known: ClerkId, out: Path, *, alone: bool) -> tuple[Certified, dict[str, Path]]:
    root = next(iter(rooms.living(Purpose.INFRASTRUCTURE)), None)
    if root is None:
        raise no_root()
    files = {"bundle": out / f"{known}.p12", "password": out / f"{known}-password"}
    certified = certified_clerk(rooms, root, known, system_randomness, alone=alone)
    write_new(files["bundle"], certified.bundle, 0o600)
    write_new(files["password"], certified.password, 0o400)
    return certified, files


def _place(rooms: Rooms, place: str) -> CounterCode:
    return EVERY_COUNTER if place == EVERY_COUNTER else rooms.store.counters.counter(CounterCode(place)).code


def _change(home: Home, known: ClerkId, state: ClerkState, output: Output) -> None:
    rooms = opened(home)
    rooms.store.clerks.change(known, state, LOCAL_OPERATOR, rooms.clock())
    changed = rooms.store.clerks.clerk(known)
    output.result("jpki.clerk/1", _fields(changed), [_line(changed)])


def _require_length(text: str, longest: int) -> None:
    if not 0 < len(text) <= longest:
        raise JpkiError(
            Kind.UNPROCESSABLE,
            "text-length",
            Text("名称又は符号が空か、長すぎます。", "A name or a code is empty or too long."),
            Text(f"{longest}文字までにしてください。", f"Take at most {longest} characters."),
        )


def _report(rooms: Rooms, known: ClerkId, certified: Certified, files: dict[str, Path], output: Output) -> None:
    shown = rooms.store.clerks.clerk(known)
    serial = format_serial(Serial(certified.certificate.serial_number))
    end = iso(certified.certificate.not_valid_after_utc)
    lines = [
        _line(shown),
        Text(f"  クライアント証明書 {serial}（{end} まで）", f"  client certificate {serial}, until {end}"),
        *(Text(f"  {file}", f"  {file}") for file in files.values()),
    ]
    told = {"certificate": serial, "not_after": end, "files": {name: str(file) for name, file in files.items()}}
    output.result("jpki.clerk/1", _fields(shown) | told, lines)


def _fields(known: Clerk) -> dict[str, object]:
    roles = {place: sorted(those) for place, those in known.roles.items()}
    return {"id": known.id, "name": known.name, "state": known.state, "roles": roles}


def _line(known: Clerk) -> Text:
    state = _STATES[known.state]
    roles = "; ".join(f"{place}: {', '.join(sorted(those))}" for place, those in sorted(known.roles.items()))
    return Text(f"{known.id}  {known.name}  {state.ja}  {roles}", f"{known.id}  {known.name}  {state.en}  {roles}")


def _counter_fields(known: Counter) -> dict[str, object]:
    return {
        "code": known.code,
        "kind": known.kind,
        "name": known.name,
        "municipality": known.municipality,
        "state": known.state,
    }


def _counter_line(known: Counter) -> Text:
    kind, closed = _KINDS[known.kind], known.state is CounterState.CLOSED
    return Text(
        f"{known.code}  {known.name}（{kind.ja}）{'閉鎖' if closed else ''}",
        f"{known.code}  {known.name} ({kind.en}){' closed' if closed else ''}",
    )
