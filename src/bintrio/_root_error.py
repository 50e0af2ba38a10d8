"""The root of every error, which can be compared, copied and pickled: `bintrio.errors` has all of them."""

from __future__ import annotations

from typing import Any, cast


class BintrioError(Exception):
    """The root of every error that bintrio raises on purpose.

    Two are equal if type, message and attributes are; what stands in `__notes__` and `__cause__` does not matter. Each
    can be copied and pickled, with both: a subclass need not do anything for it.
    """

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BintrioError) or type(self) is not type(other):
            return NotImplemented
        # Errors are compared by those who keep them, in tests and across processes.
        return self.args == other.args and _comparable(vars(self)) == _comparable(vars(other))

    def __hash__(self) -> int:
        # Its attributes may be dicts and lists, which have none.
        return hash((type(self), str(self)))

    def __reduce__(self) -> tuple[Any, ...]:
        # Python would call the class with `args`, which is the message, whatever the parameters of `__init__` are.
        state = {name: _portable(value) for name, value in vars(self).items()}
        # It is none of what `vars` gives.
        if self.__cause__ is not None:
            state["__cause__"] = _portable(self.__cause__)
        return _without_init, (type(self), self.args), state


class ForeignError(Exception):
    """Stands for another library's error in a copy, where that one cannot be copied: its type and its words."""


def _without_init(kind: type[BintrioError], args: tuple[Any, ...]) -> BintrioError:
    return kind.__new__(kind, *args)


def _portable(value: Any) -> Any:
    """The same, with a `ForeignError` for each error that pickle cannot carry. One such would break a process pool."""
    if isinstance(value, tuple):
        return tuple(map(_portable, value))  # pyright: ignore[reportUnknownArgumentType]
    if not isinstance(value, BaseException) or isinstance(value, BintrioError):
        return value
    import pickle  # for those who copy errors only

    try:
        pickle.loads(pickle.dumps(value))  # noqa: S301 - our own bytes
    except Exception:  # whatever the methods of a foreign class raise
        return ForeignError(_type_and_text(value))
    return value


def _comparable(value: Any) -> Any:
    """The same without notes, and with foreign errors as words: two of them are equal only if they are the same."""
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return {name: _comparable(item) for name, item in fields.items() if name != "__notes__"}
    if isinstance(value, tuple):
        return tuple(map(_comparable, value))  # pyright: ignore[reportUnknownArgumentType]
    is_foreign = isinstance(value, BaseException) and not isinstance(value, BintrioError)
    return _type_and_text(value) if is_foreign else value


def _type_and_text(error: BaseException) -> str:
    """Without its causes, which a copy loses."""
    if isinstance(error, ForeignError):
        return str(error)
    return f"{type(error).__name__}: {error}"
