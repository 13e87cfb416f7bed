"""The report of a replayed file of experiments as one HTML file with inline pictures: no script, no request to anywhere, light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import Any

from jobs.experiment_pictures import methods_picture, timeline_picture, weeks_picture

METHODS = (
    ("naive", "naive: each look as the only one"),
    ("group_sequential", "group sequential (O'Brien-Fleming), true end known"),
    ("asymptotic", "asymptotic sequence (GrowthBook, mSPRT)"),
    ("ours", "ours: exact for events, asymptotic for amounts"),
)
SHOWN = 15


def report(value: dict[str, Any]) -> str:
    """The page for the value of `jobs.experiment_replay.replay_file`."""
    name = value["file"].replace("\\", "/").rsplit("/", 1)[-1]
    parts = _arms(value) if value["shape"] == "arms" else _looks(value)
    style = files("controlplane").joinpath("report_style.css").read_text(encoding="utf-8")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(name)}: experiments replayed</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<style>{style}</style></head><body><main><p class="soft">Experiments replayed from {escape(name)}, {value["rows"]} rows, '
        f"level {value['alpha']:g}</p>{''.join(parts)}</main></body></html>\n"
    )


def _looks(value: dict[str, Any]) -> list[str]:
    naive, ours = value["naive"], value["methods"]["ours"]
    answer = f"{naive['vanished']} of {naive['some_look']} results that were significant at some look had vanished at the last one"
    text = (
        f"{value['comparisons']} comparisons of {value['experiments']} experiments over {value['looks']} looks. Of the {naive['some_look']}, "
        f"{naive['kept']} still stood, {naive['turned']} had turned round, {naive['unknown']} cannot be told. Ours decided {ours['decided']}: "
        f"{ours['agrees']} that the last look confirms, {ours['beyond']} that it does not, {ours['opposite']} the other way."
    )
    return [
        _answer(answer, text),
        "<h2>What each way of deciding would have said</h2>",
        _card(methods_picture([(words, value["methods"][key]) for key, words in METHODS]), _method_table(value)),
        "<h2>When it would have been said</h2>",
        _card(timeline_picture(value["details"])),
        "<h2>By metric</h2>",
        _card(_metric_table(value)),
        "<h2>Many tests at once</h2>",
        _card(_many_words(value["multiplicity"])),
        "<h2>Were the units split as configured?</h2>",
        _card(_ratio_table(value)),
        "<h2>What is unknown</h2>",
        _card(_missing_words(value["missing"])),
        _how(value),
    ]


def _arms(value: dict[str, Any]) -> list[str]:
    naive, many, split = value["naive"], value["multiplicity"], value["sample_ratio"]
    inside, outside = split["documented"]["inside"], split["documented"]["outside"]
    answer = f"{split['mismatched']} of {split['tested']} tests were not split as planned"
    text = (
        f"In the weeks in which the archive documents a randomisation problem {_share(inside)}; in all other weeks {_share(outside)}. "
        f"Of {naive['arms']} arms that look significant alone, {value['vanished']} vanish under Benjamini-Hochberg."
    )
    rows = [
        (words, many[key]["arms"], many[key]["better"], many[key]["worse"], many[key]["in_well_split_tests"])
        for key, words in (
            ("benjamini_hochberg", "Benjamini-Hochberg"),
            ("benjamini_yekutieli", "Benjamini-Yekutieli, any dependence"),
            ("e_values", "ours: e-values (e-BH), any dependence"),
        )
    ]
    worst = [(row["test"], row["period"], f"{row['log_e']:.1f}", f"{row['p']:.2g}") for row in split["found"][:SHOWN]]
    by_week = ("week", "tests", "mismatched", "share", "95 % interval")
    weeks = [(r["period"], r["tests"], r["mismatched"], _percent(r["share"]), _ends(r)) for r in split["weeks"]]
    return [
        _answer(answer, text),
        "<h2>Share of mismatched tests per week</h2>",
        _card(weeks_picture(split["weeks"], split["documented"]), _details("The same as a table", _table(by_week, weeks))),
        "<h2>Which arms differ from the rest of their test</h2>",
        _card(
            f"<p>{value['compared']} arms of {value['tests']} tests. Alone, {naive['arms']} are significant in {naive['tests_with_one']} tests; "
            f"{naive['false_if_nothing_differed']:.0f} would be if no arm differed.</p>",
            _table(("at a false share of " + f"{many['false_share']:.0%}", "arms", "better", "worse", "in well-split tests"), rows),
        ),
        f"<h2>The {len(worst)} plainest mismatches</h2>",
        _card(_table(("test", "week", "log evidence", "chi-square p"), worst)),
        _card(
            "<p class='soft'>Sample ratio: a Dirichlet mixture on impressions against equal shares of a test's arms (Lindon and Malek, 2022); "
            f"found at evidence 1/{value['split_alpha']:g}. Exact: a sound test is called mismatched with at most that chance. "
            "Arms: form 4 on clicks against the rest of the test, both directions; arms of a test depend on each other, e-BH does not mind.</p>"
        ),
    ]  # fmt: skip


def _answer(title: str, text: str) -> str:
    return f'<section class="card answer"><div><h1>{escape(title)}</h1><p>{escape(text)}</p></div></section>'


def _card(*parts: str) -> str:
    return f'<div class="card">{"".join(parts)}</div>'


def _details(title: str, body: str) -> str:
    return f"<details><summary>{escape(title)}</summary>{body}</details>"


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns of numbers stand to the right, words to the left."""
    right = [all(_is_number(row[i]) for row in rows) for i in range(len(head))]

    def line(cells: Sequence[object], tag: str) -> str:
        marks = (" class=number" if number else "" for number in right)
        return "".join(f"<{tag}{mark}>{escape(str(cell))}</{tag}>" for cell, mark in zip(cells, marks, strict=True))

    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    return f"<table><tr>{line(head, 'th')}</tr>{body}</table>"


def _is_number(value: object) -> bool:
    """A number, or a text of one: "12", "3.5%", "1,234", empty."""
    text = str(value).rstrip("%").replace(",", "").replace(".", "").replace("e-", "").lstrip("-")
    return text == "" or text.isdigit()


def _method_table(value: dict[str, Any]) -> str:
    keys = ("decided", "agrees", "beyond", "opposite", "unknown", "missed")
    rows = [
        (words, *(value["methods"][key][name] for name in keys), _percent(value["methods"][key]["median_part"]))
        for key, words in METHODS
    ]
    table = _table(("first decision", *keys, "median share of the looks"), rows)
    return (
        table
        + "<p class='soft'>The naive verdict at the last look is the reference, not the truth. Agrees: significant there on the same side; beyond: "
        "not significant there; opposite: significant on the other side; missed: significant there, never decided before. The naive and the group "
        "sequential way see the last look itself, the others pay for being right at every look and without a planned end.</p>"
    )


def _metric_table(value: dict[str, Any]) -> str:
    rows = [
        (name, item["ours_is"], item["comparisons"], item["naive"]["some_look"], item["naive"]["kept"], item["naive"]["vanished"],
         item["ours"]["decided"], item["ours"]["agrees"], item["ours"]["beyond"], item["ours"]["missed"])
        for name, item in value["metrics"].items()
    ]  # fmt: skip
    head = ("metric", "our test", "comparisons", "naive at some look", "kept", "vanished", "ours decided", "agrees", "beyond", "missed")  # fmt: skip
    return _table(head, rows)


def _many_words(many: dict[str, Any]) -> str:
    return (
        f"<p>{many['tested_at_last_look']} last looks: {many['significant_at_last_look']} significant alone, {many['benjamini_hochberg']} after "
        f"Benjamini-Hochberg at a false share of {many['false_share']:.0%}, {many['e_values']} by e-values (e-BH, under any dependence).</p>"
    )


def _ratio_table(value: dict[str, Any]) -> str:
    item = value["sample_ratio"]
    rows = [
        (f"{row['experiment']}/{row['variant']}", " or ".join(f"{share:.2%}" for share in row["configured"]) or "not in the file",
         "" if row["observed"] is None else f"{row['observed']:.3%}", f"{row['units']:,.0f}", "" if row["log_e"] is None else f"{row['log_e']:.1f}",
         _split_verdict(row))
        for row in (*item["found"], *item["sound_as_planned_unequal"], *item["not_tested"])
    ]  # fmt: skip
    text = (
        f"<p>{item['tested']} of {item['arms']} arms tested, {item['mismatched']} mismatched at {value['split_alpha']:g} (any look). "
        f"A chi-square test at every look would have cried for {item['naive_some_look']}, at the last look alone for {item['naive_last_look']}.</p>"
    )
    return text + (_table(("arm", "configured", "observed", "units", "log evidence", "verdict"), rows) if rows else "")


def _split_verdict(row: dict[str, Any]) -> str:
    if row["time"] is not None:
        return f"mismatch, found at {row['time']:g}"
    if "sound_as" in row:
        return f"sound only if {row['sound_as']:.2%} was planned (equal in whole percentages)"
    return "not tested: no units" if row["observed"] is None else "not tested: unequal by design"


def _missing_words(missing: dict[str, Any]) -> str:
    declined = "".join(
        f"<li>ours declined {n} comparisons: {escape(why)}</li>" for why, n in missing["declined"].items()
    )
    return (
        f"<ul><li>{missing['looks_without_variance']} looks have no variance, {missing['looks_untested']} with those of too few units or without "
        "any variation: no test of means reads them</li>"
        f"<li>{missing['last_look_unknown']} comparisons cannot be told at their last look: no reference</li>"
        f"<li>{missing['looks_with_falling_counts']} looks have a count that is missing or below an earlier one and were left out</li>{declined}</ul>"
    )


def _how(value: dict[str, Any]) -> str:
    return _card(
        "<p class='soft'>Exact: form 4 of the evidence engine on how the events fall on the arms, against the configured share, both directions; "
        "while the split of the traffic is constant it is right for any chances of the units, however late their events come. Where the share is "
        "unknown or the units refute it, it is not used. "
        f"Asymptotic: confidence sequence, narrowest at {value['tightest']:g} units, fixed beforehand; right for many units.</p>"
    )


def _share(row: dict[str, Any]) -> str:
    if row["share"] is None:
        return "no test could be tested"
    return f"{row['mismatched']} of {row['tests']} ({row['share']:.1%}, 95 % interval {_ends(row)})"


def _ends(row: dict[str, Any]) -> str:
    return "" if row["low"] is None else f"{row['low']:.1%} to {row['high']:.1%}"


def _percent(part: float | None) -> str:
    return "" if part is None else f"{part:.1%}"
