"""What can go wrong with a key or its token, in our words. "Not found" after trouble is an outage (rule R19)."""

from jpki.errors import JpkiError, Kind
from jpki.text import Text

_CHECK = Text("HSMの状態・接続・設定を確認してください。", "Check the HSM, its connection and the settings.")
_PIN = Text(
    "このトークンのPIN（JPKI_PIN、JPKI_OCSP_PIN、JPKI_INFRASTRUCTURE_PIN）を確認してください。",
    "Check this token's PIN: JPKI_PIN, JPKI_OCSP_PIN or JPKI_INFRASTRUCTURE_PIN.",
)

PIN_FAULTS = {"pin-wrong", "pin-locked", "pin-final-try"}
"""Codes after which nobody logs in again before a person looked at it."""

_FAULTS = {
    "PinIncorrect": (
        Kind.FORBIDDEN,
        "pin-wrong",
        Text(
            "トークンのPINが違います。ロックを避けるため、再試行しません。",
            "The token's PIN is wrong. It is not tried again, lest the token lock.",
        ),
        _PIN,
    ),
    "PinLocked": (
        Kind.FORBIDDEN,
        "pin-locked",
        Text("トークンのPINがロックされています。", "The token's PIN is locked."),
        Text("HSMの管理者にロックの解除を依頼してください。", "Ask the HSM's security officer to unlock it."),
    ),
    "PinFinalTry": (
        Kind.FORBIDDEN,
        "pin-final-try",
        Text(
            "トークンのPINの試行があと1回しか残っていません。ロックを避けるため、ログインしません。",
            "One try of the token's PIN is left. Nobody logs in here, lest the token lock.",
        ),
        Text(
            "正しいPINで一度ログインし、試行回数を戻してから、再起動してください。",
            "Log in once by hand with the right PIN, which gives the tries back; then start again.",
        ),
    ),
    "TokenNotPresent": (
        Kind.UNAVAILABLE,
        "token-not-found",
        Text("指定されたラベルのトークンがありません。", "There is no token with this label."),
        Text(
            "jpki.toml の [pkcs11] token（又はURIの token=）と、HSMの接続を確認してください。",
            "Check `token` below [pkcs11] in jpki.toml (or token= in the URI), and that the HSM is connected.",
        ),
    ),
    "ModuleNotLoaded": (
        Kind.UNAVAILABLE,
        "hsm-unavailable",
        Text("HSMのPKCS#11ライブラリを読み込めません。", "The HSM's PKCS#11 library cannot be loaded."),
        Text(
            "ライブラリの導入と、jpki.toml の [pkcs11] module（又はURIの module-path=）を確認してください。",
            "Check that it is installed, and `module` below [pkcs11] in jpki.toml (or module-path= in the URI).",
        ),
    ),
    "TokenUnknown": (
        Kind.UNAVAILABLE,
        "token-unknown",
        Text("鍵のあるトークンが設定にありません。", "The settings do not name the token that the key is in."),
        Text("jpki.toml の [pkcs11] を確認してください。", "Check [pkcs11] in jpki.toml."),
    ),
    "TokenAmbiguous": (
        Kind.CONFLICT,
        "token-ambiguous",
        Text("同じラベルのトークンが複数あります。", "Several tokens have this label."),
        Text("トークンのラベルを一意にしてください。", "Give each token a label of its own."),
    ),
    "MechanismInvalid": (
        Kind.UNPROCESSABLE,
        "mechanism-missing",
        Text("このHSMは必要な方式に対応していません。", "This HSM lacks a mechanism that is needed."),
        Text(
            "署名は CKM_RSA_PKCS と CKM_ECDSA、鍵の保護は CKM_AES_GCM に対応したHSMを使ってください。",
            "Use one with CKM_RSA_PKCS and CKM_ECDSA to sign, and CKM_AES_GCM to wrap.",
        ),
    ),
    "KeyNotFound": (
        Kind.UNAVAILABLE,
        "key-not-found",
        Text("鍵がトークンにありません。", "The key is not in the token."),
        Text(
            "トークンを復旧してください。鍵は自動では作り直されません。",
            "Restore the token; no key is ever made anew by itself.",
        ),
    ),
    "KeyAmbiguous": (
        Kind.CONFLICT,
        "key-ambiguous",
        Text("同じ名前の鍵がトークンに複数あります。", "Several keys in the token have this name."),
        Text("URIに id を加えて1つに絞ってください。", "Add the id to the URI so that it names one."),
    ),
    "WrappedKeyUnreadable": (
        Kind.FORBIDDEN,
        "wrapped-key-unreadable",
        Text(
            "包まれたデータ鍵を開けません。改ざんされたか、別の鍵で包まれています。",
            "The wrapped data key does not open: it was altered, or wrapped by another key.",
        ),
        Text("バックアップから復元してください。", "Restore it from a backup."),
    ),
    "LabelTaken": (
        Kind.CONFLICT,
        "key-exists",
        Text("その名前の鍵は既にトークンにあります。", "A key of this name is in the token already."),
        Text("別の名前を使ってください。鍵は上書きされません。", "Use another name; no key is overwritten."),
    ),
}


def failed(name: str) -> JpkiError:
    """Return our error for a PKCS#11 error's name."""
    if name in _FAULTS:
        return JpkiError(*_FAULTS[name])
    return JpkiError(
        Kind.UNAVAILABLE,
        "hsm-unavailable",
        Text(f"HSMがエラーを返しました（{name}）。", f"The HSM answered with an error ({name})."),
        _CHECK,
    )


def hung(deadline: float) -> JpkiError:
    """Return our error for a token that did not answer in time."""
    return JpkiError(
        Kind.UNAVAILABLE,
        "hsm-timeout",
        Text(f"HSMが{deadline:g}秒以内に応答しません。", f"The HSM did not answer within {deadline:g} seconds."),
        _CHECK,
    )


def died() -> JpkiError:
    """Return our error for a signer process that ended."""
    return JpkiError(
        Kind.UNAVAILABLE,
        "hsm-unavailable",
        Text("HSMとの通信プロセスが終了しました。", "The process that talks to the HSM ended."),
        _CHECK,
    )


def busy(patience: float) -> JpkiError:
    """Return our error for a token that is asked more than it can do."""
    return JpkiError(
        Kind.UNAVAILABLE,
        "hsm-busy",
        Text(f"HSMが{patience:g}秒間空きません。", f"The HSM was busy for {patience:g} seconds."),
        Text("後でもう一度実行してください。", "Try again later."),
    )


def paused() -> JpkiError:
    """Return our error for a request that is not made, so soon after an outage."""
    return JpkiError(
        Kind.UNAVAILABLE,
        "hsm-unavailable",
        Text(
            "HSMは先ほど応答しませんでした。数秒後に再接続します。", "The HSM failed just now; it is tried again soon."
        ),
        _CHECK,
    )


def is_outage(error: JpkiError) -> bool:
    """Tell whether the token is away, rather than one of its keys, or one of us too many."""
    return error.kind is Kind.UNAVAILABLE and error.code not in {"key-not-found", "token-unknown", "hsm-busy"}


def not_sealed(uri: str) -> JpkiError:
    """Return our error for a key that could leave its token, or do more than sign."""
    return JpkiError(
        Kind.FORBIDDEN,
        "key-not-sealed",
        Text(
            f"鍵 {uri} は取り出せるか、署名以外にも使える属性をもっています。",
            f"Key {uri} has attributes that let it leave the token, or do more than sign.",
        ),
        Text(
            "トークン内で生成した、取り出せない署名専用の鍵を使ってください。", "Use a sign-only key made in the token."
        ),
    )
