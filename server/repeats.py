"""Requests with an Idempotency-Key: done once, and told again for a day (docs/contract.md)."""

from collections.abc import Callable

from flask import Response

from jpki.clerk import Clerk
from jpki.clock import Clock
from jpki.errors import JpkiError, Kind
from jpki.text import Text
from server.store.replies import Reply, SqlReplies


class Repeats:
    """See `enroll.http.Once`. A refusal changed nothing, so it is not kept: the same key may be tried again."""

    def __init__(self, replies: SqlReplies, clock: Clock) -> None:
        self._replies = replies
        self._clock = clock

    def once(self, clerk: Clerk, key: str, asked: bytes, act: Callable[[], Response]) -> Response:
        """Do it, or tell what was told before.

        Raises:
            JpkiError: UNPROCESSABLE `idempotency-key-reused`; CONFLICT `request-running`; of the act.
        """
        known = self._replies.claim(clerk.id, key, asked, self._clock())
        if known is not None:
            if not known.same:
                raise _reused()
            if known.reply is None:
                raise _running()
            again = Response(known.reply.body, known.reply.status, content_type=known.reply.content_type)
            again.headers["Cache-Control"] = "no-store"
            return again
        try:
            response = act()
        except BaseException:
            self._replies.give_up(clerk.id, key)
            raise
        reply = Reply(response.status_code, str(response.content_type), response.get_data())
        self._replies.keep(clerk.id, key, asked, reply)
        return response


def _reused() -> JpkiError:
    return JpkiError(
        Kind.UNPROCESSABLE,
        "idempotency-key-reused",
        Text("この Idempotency-Key は別の要求に使われました。", "This Idempotency-Key came with another request."),
        Text("新しい鍵を使ってください。", "Take a new key."),
    )


def _running() -> JpkiError:
    return JpkiError(
        Kind.CONFLICT,
        "request-running",
        Text("同じ Idempotency-Key の要求を処理中です。", "A request with this Idempotency-Key is being worked on."),
        Text("少し待ってもう一度送ってください。", "Wait a little, and send it again."),
    )
