"""How a generation stands, in one line."""

from jpki.clock import iso
from jpki.generation import Generation
from jpki.text import Text
from server.wiring import Rooms


def standing(rooms: Rooms, generation: Generation) -> Text:
    """Tell whether it issues, answers, is compromised, ended or destroyed, and until when."""
    end = iso(generation.not_after)
    if generation.destroyed_at is not None:
        when = iso(generation.destroyed_at)
        return Text(f"{when} に鍵を廃棄", f"its key was destroyed at {when}")
    if generation.compromised_at is not None:
        when = iso(generation.compromised_at)
        return Text(f"{when} に危殆化、{end} まで失効を回答", f"compromised at {when}; says so until {end}")
    if not generation.answers(rooms.clock()):
        return Text(f"{end} に終了（jpki ceremony retire で鍵を廃棄）", f"ended at {end}; retire its key")
    issuing = rooms.store.generations.issuing(generation.purpose, rooms.clock())
    if issuing and issuing[0].id == generation.id:
        until = iso(generation.issue_until)
        return Text(f"{until} まで発行、{end} まで回答", f"issues until {until}, answers until {end}")
    return Text(f"{end} まで回答", f"answers until {end}")
