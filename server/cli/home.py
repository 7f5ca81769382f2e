"""`jpki init`: make a home."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from cryptography.hazmat.primitives.hashes import SHA256

from ca.plan import require_founding, require_profile
from ca.profile import CARDS
from jpki.acts import LOCAL_OPERATOR, Act, AuditEvent
from jpki.certificate import HOLDER_PURPOSES
from jpki.clock import iso, system_clock
from jpki.errors import JpkiError
from jpki.generation import Generation
from jpki.ports import KeyProvider
from jpki.randomness import system_randomness
from jpki.text import Text
from server.cli.frame import EXIT_FAILED, BadInput, Output, command, home_option, opened, plan_path
from server.cli.keys import KeysSettings, keys_options
from server.doctor import Finding, examine
from server.founding import FIRST_ADMINISTRATOR, first_plan, found
from server.home import Home
from server.partitions import of_this_release
from server.plan_file import read_plan
from server.sealing import Sealing
from server.settings import DEFAULT_BASE_URL, check_settings, read_settings
from server.store.database import SCHEMA
from server.store.roles import READABLE, admit
from server.wiring import Store, database_of, keys_of, store_of


@command("init")
@click.option(
    "--home", "path", required=True, type=click.Path(path_type=Path), envvar="JPKI_HOME", help="A new directory."
)
@keys_options
@click.option("--profile", type=click.Choice(list(CARDS)), help="The card generation; default: card-v1.")
@click.option("--base-url", default=DEFAULT_BASE_URL, help="The URL that certificates will name.")
@click.option("--database", help="postgresql://… for the ledger; default: SQLite in the home.")
@click.option("--ceremony", "plan_file", type=plan_path, help="Its plan, TOML; default: the local operator alone.")
def init(
    path: Path,
    keys: KeysSettings,
    profile: str | None,
    base_url: str,
    database: str | None,
    plan_file: Path | None,
    output: Output,
) -> None:
    """Make both CAs, OCSP responders, the first lists and the first administrator."""
    try:
        plan = read_plan(plan_file, CARDS[profile or "card-v1"]) if plan_file else first_plan(profile or "card-v1")
        require_founding(plan)
        require_profile(plan, profile or plan.profile)
        settings = check_settings(
            {"base_url": base_url.rstrip("/"), "profile": plan.profile, "database": database, **keys}
        )
    except JpkiError as error:
        raise BadInput(error) from error
    home = Home(path.absolute())
    command_line = "jpki init" if plan_file is None else f"jpki init --ceremony {plan_file.name}"
    rooms = found(home, settings, system_clock, system_randomness, plan, command_line)
    click.get_current_context().call_on_close(rooms.close)
    roots = [rooms.living(purpose)[0] for purpose in HOLDER_PURPOSES]
    record = rooms.ceremonies.record_file(rooms.store.ceremonies.find(1))
    trial = home.made_up_a_secret()
    fields = {
        "home": str(home.path),
        "base_url": settings.base_url,
        "profile": settings.profile,
        "keys": settings.keys,
        "database": "sqlite" if database is None else "postgresql",
        "cas": [_fields(root) for root in roots],
        "administrator": str(home.clerks / f"{FIRST_ADMINISTRATOR}.p12"),
        "trial_passphrase": trial,
        "ceremony": str(record),
    }
    output.result("jpki.init/1", fields, list(_lines(home, roots, record, trial=trial)))


def _fields(root: Generation) -> dict[str, Any]:
    return {
        "ca": root.purpose,
        "generation": root.id,
        "not_after": iso(root.not_after),
        "issue_until": iso(root.issue_until),
        "sha256": root.certificate.fingerprint(SHA256()).hex(),
    }


def _lines(home: Home, roots: list[Generation], record: Path, *, trial: bool) -> Iterator[Text]:
    yield Text(f"認証局のホームを作成しました：{home.path}", f"The authority's home stands at {home.path}")
    for root in roots:
        end, last = iso(root.not_after), iso(root.issue_until)
        yield Text(
            f"  {root.purpose.text.ja}の認証局 {root.id}：有効期限 {end}、発行は {last} まで",
            f"  CA for {root.purpose.text.en}s, {root.id}: ends {end}, issues until {last}",
        )
    bundle = home.clerks / f"{FIRST_ADMINISTRATOR}.p12"
    yield Text(f"  最初の管理者の証明書：{bundle}", f"  the first administrator's certificate: {bundle}")
    yield Text(f"  セレモニーの署名付き記録：{record}", f"  the ceremony's signed record: {record}")
    if trial:
        yield Text(
            f"注意：鍵の秘密（パスフレーズ又はPIN）を {home.secrets} に自動生成しました。試験用です。"
            "本番では JPKI_KEY_PASSPHRASE 又は JPKI_PIN（トークンごとのPIN）を渡してください。",
            f"Note: a passphrase or PIN for the keys was made up under {home.secrets}. That is for trials;"
            " for real use give JPKI_KEY_PASSPHRASE, or JPKI_PIN and the other tokens' PINs.",
        )
    yield Text(f"次に：jpki serve --home {home.path}", f"Next: jpki serve --home {home.path}")


@command("doctor")
@home_option
def doctor(home: Home, output: Output) -> int:
    """Check everything, and say what to do about what is wrong; exit 0 only if all is well."""
    findings = list(examine(opened(home)))
    healthy = all(finding.error is None for finding in findings)
    fields = [
        {
            "name": finding.name,
            "title": finding.title.as_json(),
            "ok": finding.error is None,
            "code": finding.error and finding.error.code,
            "problem": finding.error and finding.error.problem.as_json(),
            "action": finding.error and finding.error.action.as_json(),
        }
        for finding in findings
    ]
    output.result(
        "jpki.doctor/1", {"healthy": healthy, "checks": fields}, [line for each in findings for line in _finding(each)]
    )
    return 0 if healthy else EXIT_FAILED


def _finding(finding: Finding) -> Iterator[Text]:
    mark = "✓" if finding.error is None else "✗"
    yield Text(f"{mark} {finding.title.ja}", f"{mark} {finding.title.en}")
    if finding.error is not None:
        for part, lead in ((finding.error.problem, "    "), (finding.error.action, "    → ")):
            yield Text(lead + part.ja, lead + part.en)


@click.group("db")
def db() -> None:
    """Look after the ledger's database."""


@command("upgrade")
@home_option
def upgrade(home: Home, output: Output) -> None:
    """Bring the ledger up to this program's version: its schema, and a partition for each new municipality."""
    settings = read_settings(home.settings)
    database, keys = database_of(home, settings), keys_of(home, settings)
    for part in (database, keys):
        click.get_current_context().call_on_close(part.close)
    before = database.upgrade()
    store = store_of(database, keys, system_randomness)
    added = store.partitions.add(of_this_release())
    sealed = _seal_what_is_open(store, keys, output)
    lines = [
        Text(f"台帳の版：{before} → {SCHEMA}", f"The ledger's version: {before} → {SCHEMA}"),
        Text(f"新たに封印した記録：{sealed}件", f"Records sealed now: {sealed}"),
        Text(f"追加した市区町村の区画：{len(added)}件", f"Partitions of new municipalities: {len(added)}"),
        *(Text(line, line) for line in (f"  {each.id}  {each.name.rfc4514_string()}" for each in added)),
    ]
    told = [{"id": each.id, "municipality": each.municipality} for each in added]
    fields = {"before": before, "after": SCHEMA, "sealed": sealed, "partitions": told}
    output.result("jpki.db-upgrade/1", fields, lines)


def _seal_what_is_open(store: Store, keys: KeyProvider, output: Output) -> int:
    """Seal the records of a ledger from before there were seals; return how many there were."""
    sealing = Sealing(store=store, keys=keys, clock=system_clock, randomness=system_randomness)
    if not store.seals.began():
        sealing.begin()
    return sealing.seal_all(_progress(output))


def _progress(output: Output) -> Callable[[int], None]:
    return lambda left: output.progress(Text(f"  残り{left}件", f"  {left} records left"))


@command("grant")
@click.argument("role")
@home_option
@click.option(
    "--door", "doors", multiple=True, required=True, type=click.Choice(list(READABLE)), help="May be repeated."
)
def grant(role: str, home: Home, doors: tuple[str, ...], output: Output) -> None:
    """Let an existing PostgreSQL role use the tables that a door needs, and none that tells of a holder.

    A process with this door then has a jpki.toml of its own, whose `database` names the role. In `registered` mode the
    role may write look-ups, too, and not read them.
    """
    rooms = opened(home)
    registered = rooms.settings.verifiers == "registered"
    names = admit(rooms.store.database, role, doors, LOCAL_OPERATOR, rooms.clock, registered=registered)
    line = Text(f"{role} は次の表を使えます：{'、'.join(names)}", f"{role} may use: {', '.join(names)}")
    output.result("jpki.db-grant/1", {"role": role, "tables": names}, [line])


@command("rotate-seal")
@home_option
def rotate_seal(home: Home, output: Output) -> None:
    """Seal every record under a new key and destroy the old one; what was interrupted is finished first."""
    rooms = opened(home)
    sealing = Sealing(store=rooms.store, keys=rooms.keys, clock=rooms.clock, randomness=system_randomness)
    unfinished = rooms.store.seals.outdated() > 0
    if not unfinished:
        sealing.begin()
    sealed, retired = sealing.seal_all(_progress(output)), sealing.retire()
    lines = [
        Text(
            f"{sealed}件の記録を新しい鍵で封印し、古い鍵を{len(retired)}個破棄しました。",
            f"{sealed} records are sealed under the new key; {len(retired)} old keys were destroyed.",
        )
    ]
    output.result("jpki.db-rotate-seal/1", {"sealed": sealed, "destroyed": retired}, lines)


@command("accept-clock")
@home_option
def accept_clock(home: Home, output: Output) -> None:
    """Go on with the machine's clock, after one that ran ahead stopped signing."""
    rooms = opened(home)
    now = rooms.clock()
    rooms.store.audit.record(
        AuditEvent(at=now, actor=LOCAL_OPERATOR, act=Act.CLOCK_ACCEPTED, subjects=("clock",), details={"now": iso(now)})
    )
    rooms.store.database.accept_clock(now)
    line = Text(f"時計 {iso(now)} を受け入れました。", f"The clock {iso(now)} is accepted.")
    output.result("jpki.db-accept-clock/1", {"now": iso(now)}, [line])


db.add_command(upgrade)
db.add_command(grant)
db.add_command(rotate_seal)
db.add_command(accept_clock)
