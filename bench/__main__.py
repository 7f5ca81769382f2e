"""`python -m bench ROW…`: measure, print a table, and keep the raw output in bench/out/<ROW>.json."""

import importlib
import json
import sys
from pathlib import Path

from bench.rows import Row

ROWS = ("issue", "hsm", "ocsp", "crl", "crl_lookup", "counter")
_OUT = Path(__file__).parent / "out"


def main(names: list[str]) -> int:
    """Run these benchmarks, or all; return 1 where a target was missed."""
    unknown = set(names) - set(ROWS)
    if unknown:
        sys.stderr.write(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}\n")
        return 64
    _OUT.mkdir(exist_ok=True)
    met = [_run(name) for name in names or ROWS]
    return 0 if all(met) else 1


def _run(name: str) -> bool:
    rows: list[Row] = []
    for row in importlib.import_module(f"bench.{name}").rows():
        rows.append(row)
        sys.stdout.write(f"{'✓' if is_met(row) else '✗'} {_told(row)}\n")
        sys.stdout.flush()
    (_OUT / f"{name}.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    return all(map(is_met, rows))


def is_met(row: Row) -> bool:
    """Tell whether the row's target is met."""
    return bool(row["ratio"] >= row["target"] if row["better"] == "higher" else row["ratio"] <= row["target"])


def _told(row: Row) -> str:
    sign = "≥" if row["better"] == "higher" else "≤"
    raw = ", ".join(f"{side} {_figure(sorted(values)[len(values) // 2])}" for side, values in row["raw"].items())
    return f"{row['row']:<24} {row['ratio']:>8.3f}  (target {sign} {row['target']})  load {row['load']}  {raw}"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
