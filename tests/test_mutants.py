"""Mutation testing: which tests are chosen for a change, and how it is counted."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
import pytest
from scripts.mutants.score import Equivalent, Outcome, Result, Score, declared, kept, tidy
from scripts.mutants.selection import BUDGET, READING, Coverage, by_file, is_own, uses
from scripts.mutants.sites import Site, Source, changed_lines, modules, mutated, sites

TEXT: Final = """\
from typing import Final

LIMIT: Final[int] = 2 * 3
OTHER = LIMIT


class Box:
    size: int | None = 1

    @property
    def area(self) -> int | None:
        return self.size

    async def fill(
        self,
        *,
        by: int = 7 * 1,
    ) -> None:
        if by > LIMIT:
            raise ValueError
        self.size = by
"""

LINE: Final = {
    "limit": 3,
    "size": 8,
    "property": 10,
    "area": 12,
    "star": 16,
    "by": 17,
    "if": 19,
    "raise": 20,
    "set": 21,
}


@pytest.fixture
def source(tmp_path: Path) -> Source:
    path = tmp_path / "box.py"
    path.write_text(TEXT)
    return Source("box", path)


def site(before: str = "a", definition: str = "f", nth: int = 1) -> Site:
    return Site("box", definition, "core/AddNot", before, nth)


def result(outcome: Outcome, before: str = "a", after: str = "b", line: int = 1) -> Result:
    return Result(
        site=site(before),
        line=line,
        after=after,
        outcome=outcome,
        test="",
        tests=3,
        source_digest="s",
        tests_digest="t",
    )


# What stands in a line


@pytest.mark.parametrize(
    ("line", "part", "is_run"),
    [
        ("limit", "Final", False),
        ("limit", "*", True),
        ("size", "|", False),
        ("size", "1", True),
        ("star", "*", False),
        ("by", "*", False),  # a product as a default is rare, and passed over too
        ("by", "7", True),
        ("if", ">", True),
    ],
)
def test_a_type_is_not_run(source: Source, line: str, part: str, is_run: bool) -> None:
    assert source.is_run(LINE[line], source.lines[LINE[line] - 1].index(part)) is is_run


def test_what_only_type_checkers_see_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "box.py"
    path.write_text("if TYPE_CHECKING:\n    A = 1\n\n    class B(A, kind=2):\n        c = 3\nelse:\n    A = 4\n")
    source = Source("box", path)
    assert [source.is_run(line, 8) for line in range(2, 8) if source.lines[line - 1]] == [
        False,
        False,
        False,
        True,
        True,
    ]


def test_the_definitions_around_a_line(source: Source) -> None:
    assert [name for name, _ in source.around(LINE["raise"])] == ["Box", "Box.fill"]
    assert [name for name, _ in source.around(LINE["property"])] == ["Box", "Box.area"]
    assert source.around(LINE["limit"]) == []


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        ("limit", range(3, 4)),
        ("property", range(10, 12)),
        ("star", range(14, 19)),
        ("if", range(19, 20)),
        ("raise", range(20, 21)),
    ],
)
def test_a_statement_is_its_head(source: Source, line: str, lines: range) -> None:
    assert source.statement(LINE[line])[1] == lines


def test_between_statements(source: Source) -> None:
    assert source.statement(5) == (None, range(5, 6))


@pytest.mark.parametrize(("line", "is_in"), [("limit", False), ("size", False), ("by", False), ("if", True)])
def test_what_the_import_runs(source: Source, line: str, is_in: bool) -> None:
    assert source.is_in_function(LINE[line]) is is_in


@pytest.mark.parametrize(
    ("after", "changed"),
    [
        (TEXT.replace("by > LIMIT", "not by > LIMIT"), "if not by > LIMIT:"),
        (TEXT.replace("    @property\n", ""), ""),
        (TEXT.replace("2 * 3", "2 /\\\n3"), "LIMIT: Final[int] = 2 /\\\n3"),
        (TEXT, ""),
    ],
)
def test_changed_lines(after: str, changed: str) -> None:
    assert changed_lines(TEXT, after) == changed


# Which tests


FAST, SLOW, OTHER, PROPERTY = (
    "tests/test_box.py::test_fast",
    "tests/test_box.py::test_slow",
    "tests/test_all.py::test_other",
    "tests/test_all.py::test_property",
)


def coverage(**seconds: float) -> Coverage:
    times = {FAST: 1.0, SLOW: 5.0, OTHER: 0.1, PROPERTY: 0.1, **seconds}
    return Coverage("", times, {"box": {12: [PROPERTY], 19: [SLOW, OTHER, FAST], 20: [OTHER]}})


def choose(source: Source, line: str, coverage: Coverage) -> list[str]:
    return coverage.choose(source, LINE[line], uses([source]))


def test_the_tests_that_run_the_line(source: Source) -> None:
    assert choose(source, "if", coverage()) == [FAST, SLOW, OTHER], "the module's own first, then by time"
    assert choose(source, "raise", coverage()) == [OTHER]
    assert choose(source, "set", coverage()) == [FAST, SLOW, OTHER, PROPERTY], "by the import"


def test_what_the_import_runs_matters_where_it_is_used(source: Source) -> None:
    assert choose(source, "limit", coverage()) == [FAST, SLOW, OTHER], "LIMIT is read in line 19"
    assert choose(source, "property", coverage()) == [FAST, SLOW, OTHER, PROPERTY]


def test_where_nothing_is_known_any_test_may_notice(source: Source) -> None:
    others = Coverage("", {OTHER: 2.0, PROPERTY: 1.0}, {})
    assert choose(source, "size", others) == [PROPERTY, OTHER]


def test_the_slowest_are_left_out(source: Source) -> None:
    assert choose(source, "if", coverage(**{SLOW: BUDGET})) == [FAST, OTHER]
    assert choose(source, "if", coverage(**{FAST: BUDGET, SLOW: BUDGET + 1})) == [FAST]


def test_to_read_a_file_takes_its_time_once(source: Source) -> None:
    seconds = coverage().seconds
    own = seconds[FAST] + seconds[SLOW] + READING

    def chosen(budget: float) -> list[str]:
        return coverage().choose(source, LINE["if"], uses([source]), budget)

    assert chosen(own) == [FAST, SLOW]
    assert chosen(own + seconds[OTHER]) == [FAST, SLOW]
    assert chosen(own + seconds[OTHER] + READING) == [FAST, SLOW, OTHER]


@pytest.mark.parametrize(
    ("module", "test", "own"),
    [
        ("_net.wire", "tests/net/test_wire.py::test_a", True),
        ("_net.wire", "tests/net/test_wire_slow.py::test_a[1]", True),
        ("_net.wire", "tests/net/test_wireless.py::test_a", False),
        ("_net.wire", "tests/sandbox/server/test_wire.py::test_a", False),
        ("api._base", "tests/api/test_base.py::test_a", True),
        ("api.trading", "tests/api/test_base.py::test_a", False),
        ("session", "tests/sandbox/exchange/test_sessions.py::test_a", False),
    ],
)
def test_a_module_s_own_tests(module: str, test: str, own: bool) -> None:
    assert is_own(module, test) is own


def test_the_file_with_most_of_the_tests_comes_after_the_module_s_own(source: Source) -> None:
    times = {"tests/test_a.py::test_1": 0.1, "tests/test_b.py::test_1": 0.3, "tests/test_b.py::test_2": 0.2, FAST: 1.0}
    chosen = Coverage("", times, {"box": {19: [*times]}}).choose(source, LINE["if"], uses([source]))
    assert list(by_file(chosen).items()) == [
        ("tests/test_box.py", [FAST]),
        ("tests/test_b.py", ["tests/test_b.py::test_2", "tests/test_b.py::test_1"]),
        ("tests/test_a.py", ["tests/test_a.py::test_1"]),
    ]


def test_what_is_named_after_a_class_comes_next(source: Source) -> None:
    named = "tests/test_all.py::test_a_record[Box]"
    known = Coverage("", {FAST: 1.0, OTHER: 0.1, named: 0.5}, {"box": {10: [OTHER]}})
    assert choose(source, "size", known) == [FAST, named, OTHER]
    assert source.words(LINE["size"]) == {"Box"}
    assert source.words(LINE["property"]) == {"Box", "area"}
    assert source.words(LINE["limit"]) == set()


def test_only_the_client_is_changed() -> None:
    named = modules()
    assert {"session", "_net.wire", "api.trading", "api._base"} <= set(named)
    assert not [name for name in named if name.startswith(("sandbox", "storm", "cli", "pytest_plugin")) or "__" in name]


# What came of it


def test_the_order_of_sites_does_not_depend_on_others() -> None:
    some = [site(str(n)) for n in range(20)]
    ordered = sorted(some, key=lambda s: s.rank(1))
    assert [s for s in ordered if s != some[3]] == sorted(some[:3] + some[4:], key=lambda s: s.rank(1))
    assert ordered != sorted(some, key=lambda s: s.rank(2))


def test_the_score() -> None:
    reasons = [
        Equivalent("box", "a", "any change", "f"),
        Equivalent("box", "c", "this change", "f", after="d"),
        Equivalent("box", "e", "elsewhere", "g"),
    ]
    results = [
        *(result("killed") for _ in range(5)),
        result("time"),
        result("survived", "e", line=2),
        result("survived", "c", "x", line=1),
        result("survived", "a"),
        result("survived", "c", "d"),
    ]
    score = Score.of(results, reasons)
    assert (score.killed, score.by_time, score.share) == (6, 1, 6 / 8)
    assert [reason for _, reason in score.equivalent] == ["any change", "this change"]
    assert [r.site.before for r in score.survived] == ["c", "e"]
    text = score.text()
    assert "6 of 10 mutants killed, 1 of them by a time limit; 2 survived, 2 make no difference." in text
    assert "Score: 75.0%, and 60.0% of all." in text
    assert "Survived 3 tests\n  box:1 f, core/AddNot\n  -  c\n  +  x\n" in text
    assert "Makes no difference: any change\n  box:1 f, core/AddNot\n  -  a\n  +  b\n" in text


def test_a_result_holds_until_what_it_depends_on_changes(source: Source) -> None:
    source.digest = "s"
    assert result("killed").holds(source, "t")
    assert result("survived").holds(source, "t")
    assert result("killed").holds(source, "other tests"), "more tests do not bring it back"
    assert not result("survived").holds(source, "other tests")
    source.digest = "other source"
    assert not result("killed").holds(source, "t")


def test_words_about_the_code_change_no_result(source: Source, tmp_path: Path) -> None:
    def digest(text: str) -> str:
        (tmp_path / "module.py").write_text(text, "utf-8")
        return Source("module", tmp_path / "module.py").digest

    assert digest(f'"""A docstring."""\n{source.text}\n# a comment\n') == digest(source.text)
    assert digest(source.text) != digest(f"{source.text}\nsize = 1\n")


def test_results_are_kept(tmp_path: Path) -> None:
    assert kept(tmp_path / "none") == {}
    first, second, other = result("survived"), result("killed"), result("time", "b")
    (tmp_path / "some").write_bytes(b"\n".join(map(msgspec.json.encode, [first, other, second])))
    assert kept(tmp_path / "some") == {first.site: second, other.site: other}


def test_what_holds_no_more_is_not_kept_for_ever(tmp_path: Path, source: Source) -> None:
    first, second, stale, gone = result("survived"), result("killed"), result("killed", "b"), result("killed", "c")
    first, second = (msgspec.structs.replace(each, source_digest=source.digest) for each in (first, second))
    gone = msgspec.structs.replace(gone, site=gone.site._replace(module="gone"), source_digest=source.digest)
    path = tmp_path / "results"
    path.write_bytes(b"\n".join(map(msgspec.json.encode, [first, stale, gone, second])))
    tidy(path, {"box": source})
    assert path.read_bytes() == msgspec.json.encode(second) + b"\n"


def test_what_is_declared_names_modules_that_are_there() -> None:
    for equivalent in declared():
        assert equivalent.module in modules()
        assert equivalent.reason


# What the extra adds


@pytest.mark.extra
def test_exceptions_are_replaced_where_they_have_a_plain_name(tmp_path: Path) -> None:
    pytest.importorskip("cosmic_ray", reason="needs the extra mutants")
    path = tmp_path / "box.py"
    handlers = ("(a.B, C)", "a.D", "E as e", "(F, G)")
    path.write_text("try:\n    pass\n" + "".join(f"except {handler}:\n    pass\n" for handler in handlers))
    source = Source("box", path)
    made = [
        changed_lines(source.text, mutated(source, s, place) or "")
        for s, place in sites(source).items()
        if s.operator == "core/ExceptionReplacer"
    ]
    assert [text.replace("CosmicRayTestingException", "X") for text in made] == [
        "except (a.B, X):",
        "except X as e:",
        "except (X, G):",
        "except (F, X):",
    ]


@pytest.mark.extra
def test_sites_and_what_they_make(source: Source) -> None:
    pytest.importorskip("cosmic_ray", reason="needs the extra mutants")
    found = sites(source)
    made = {changed_lines(TEXT, text) for s, place in found.items() if (text := mutated(source, s, place)) is not None}
    assert {
        "LIMIT: Final[int] = 2 / 3",
        "size: int | None = 2",
        "if not by > LIMIT:",
        "if by >= LIMIT:",
        "pass",
    } <= made
    assert not [text for text in made if "->" in text], "types stay as they are"
    assert {s.definition for s in found} == {"", "Box", "Box.area", "Box.fill"}
