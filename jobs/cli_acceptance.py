"""`controlplane eval register | run | list | show` and `controlplane dataset ...`: criteria first, then the run. Options in, one call, print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.cli_evaluation import dataset, evaluation
from jobs.console import BAD_INPUT, REFUSED, Actor, AsJson, Home, clock, command, fail, show

Seed = Annotated[int, typer.Option("--seed", help="Seed of everything random; the same seed gives the same outcomes.")]
Html = Annotated[Path | None, typer.Option("--html", help="Write the report as one HTML file.")]
Artefacts = Annotated[
    list[str] | None, typer.Option("--artefact", help="NAME=HASH of what answered, with --replies; repeat it.")
]


@evaluation.command("register")
@command
def eval_register(
    criteria: Annotated[Path, typer.Argument(help="Criteria file (TOML).")],
    actor: Actor,
    name: Annotated[str | None, typer.Option("--name", help="Name of the criteria; default: the file's.")] = None,
    reason: Annotated[
        str, typer.Option("--reason", help="Why; needed where it changes criteria of that name. Kept in the record.")
    ] = "",
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Register acceptance criteria before a release is run, with the versions of the data sets that they name; prints their hash.

    A change of registered criteria needs a reason; what differs, and what the last month's runs would have been, is shown and kept.

    Examples:

      controlplane eval register criteria.toml --actor ana

      controlplane eval register criteria.toml --actor ana --reason "2 % of wrong answers is too many for disputes"
    """
    from jobs.evaluation_command import register_command, registered_text

    value = register_command(home, criteria, name, actor, clock(), reason)
    show(value, as_json, registered_text(value))


@evaluation.command("criteria")
@command
def eval_criteria(
    name: Annotated[str | None, typer.Argument(help="Name of the criteria; default: all.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Versions of acceptance criteria: who, why, what differs, and what recorded runs would have been.

    Example:

      controlplane eval criteria support-release
    """
    from jobs.evaluation_criteria import criteria_command, criteria_text

    rows = criteria_command(home, name, clock())
    show({"criteria": rows}, as_json, criteria_text(rows))


@evaluation.command("run")
@command
def eval_run(
    data: Annotated[
        list[str], typer.Option("--data", help="Data set NAME[@VERSION], or a registered file; repeat it.")
    ],
    criteria: Annotated[
        str, typer.Option("--criteria", help="Hash (8 digits or more) or name of registered criteria.")
    ],
    release: Annotated[
        Path | None,
        typer.Option("--release", help="Release of the embedded assistant (TOML); default: the shipped one."),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            "--baseline",
            help="Run or release to show beside it; criteria always compare with the last accepted release.",
        ),
    ] = None,
    replies: Annotated[
        list[Path] | None,
        typer.Option("--replies", help="Interaction records of an assistant that is not run here; repeat it."),
    ] = None,
    label: Annotated[str | None, typer.Option("--label", help="What the release is called.")] = None,
    artefact: Artefacts = None,
    service: Annotated[
        str, typer.Option("--service", help="Latencies: real (measured here) or simulated (seeded, as in the demo).")
    ] = "real",
    api_key: Annotated[
        str, typer.Option("--api-key", envvar="OPENAI_API_KEY", hidden=True, help="Key of the release's remote model.")
    ] = "",
    seed: Seed = 7,
    actor: Actor = "evaluation",
    html: Html = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Evaluate a release on registered data by registered criteria and record the verdict. Exit code 1 unless it passed.

    Examples:

      controlplane eval run --data support --criteria 3fa91c2b --html report.html

      controlplane eval run --data support --criteria quality --replies answers.jsonl --label v4 --artefact model=sha256:ab12
    """
    from jobs import evaluation_command as job

    if service not in ("real", "simulated"):
        fail(f"--service {service}: there are real and simulated", BAD_INPUT)
    wrong = [pair for pair in artefact or [] if "=" not in pair]
    if wrong:
        fail(f"--artefact {wrong[0]}: write NAME=HASH, such as --artefact model=sha256:...", BAD_INPUT)
    hashes = dict(pair.split("=", 1) for pair in artefact or [])
    subject = job.Subject(release, label, tuple(replies or ()), hashes, service == "simulated", api_key)
    done = job.run_command(home, data, criteria, subject, baseline, seed, actor, clock, html=html, quiet=as_json)
    show(job.run_json(done.run), as_json, job.run_text(done.run))
    if not job.passed(done.run):
        raise typer.Exit(REFUSED)


@evaluation.command("list")
@command
def eval_list(home: Home = None, as_json: AsJson = False) -> None:
    """All evaluation runs, oldest first."""
    from jobs import evaluation_command as job

    rows = job.list_command(home, clock())
    text = "\n".join(job.list_line(row) for row in rows) or "no evaluation yet"
    show({"runs": [job.summary_json(row) for row in rows]}, as_json, text)


@evaluation.command("show")
@command
def eval_show(
    run_id: Annotated[str, typer.Argument(help="Id of the run.")],
    rows: Annotated[bool, typer.Option("--rows", help="List the rows it got wrong, with what was said.")] = False,
    html: Html = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Show a recorded run, checked against the audit log."""
    from jobs import evaluation_command as job

    row, wrong = job.show_command(home, run_id, html, clock())
    text = job.run_text(row)
    if rows:
        text += "".join(f"\n  {item['id']}: {item['text']}\n    {'; '.join(item['why'])}" for item in wrong)
    show(job.run_json(row) | ({"wrong_rows": wrong} if rows else {}), as_json, text)


@dataset.command("add")
@command
def dataset_add(
    name: Annotated[str, typer.Argument(help="Name of the data set; it moves to the new version.")],
    actor: Actor,
    files: Annotated[list[Path] | None, typer.Argument(help="Rows: JSON lines, CSV (also .gz) or Parquet.")] = None,
    origin: Annotated[str | None, typer.Option("--origin", help="Where the rows come from; default: the file.")] = None,
    text_column: Annotated[str | None, typer.Option("--text-column", help="Column with the message.")] = None,
    label_column: Annotated[str | None, typer.Option("--label-column", help="Column with the true intent.")] = None,
    topic_column: Annotated[
        str | None, typer.Option("--topic-column", help="Column to slice by; default: the label.")
    ] = None,
    oos_label: Annotated[
        str | None, typer.Option("--oos-label", help="Label of messages that are none of ours.")
    ] = None,
    sensitive: Annotated[
        str, typer.Option("--sensitive", help="Labels that must reach a person, separated by commas.")
    ] = "",
    shipped: Annotated[bool, typer.Option("--shipped", help="The rows that come with the program, no files.")] = False,
    history: Annotated[
        int, typer.Option("--history", min=0, help="This many ingested conversations, a stable sample; no files.")
    ] = 0,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Add a version of a data set. The same rows have the same version, in any order.

    Examples:

      controlplane dataset add support rows.jsonl --actor ana

      controlplane dataset add banking train.csv.gz --text-column text --label-column category --actor ana

      controlplane dataset add support --shipped --actor ana
    """
    from controlplane.evaluation.rows_from import Columns
    from jobs import dataset_command as job

    if sum((bool(files), shipped, history > 0)) != 1:
        fail("name either files, --shipped or --history N", BAD_INPUT)
    if shipped:
        value = job.add_shipped(home, name, actor, clock())
    elif history:
        value = job.add_history(home, name, history, actor, clock())
    else:
        labels = tuple(item.strip() for item in sensitive.split(",") if item.strip())
        columns = Columns(text_column, label_column, topic_column, oos_label, labels)
        value = job.add_command(home, name, files or [], columns, origin, actor, clock())
    known = "" if value["new"] else ", as before"
    show(value, as_json, f"{value['name']}@{value['version']}: {value['rows']} rows{known}")


@dataset.command("append")
@command
def dataset_append(
    name: Annotated[str, typer.Argument(help="Name of the data set.")],
    actor: Actor,
    from_incident: Annotated[
        str | None, typer.Option("--from-incident", help="Failed conversations between its onset and its cut.")
    ] = None,
    from_conversation: Annotated[
        list[str] | None, typer.Option("--from-conversation", help="This conversation's first message; repeat it.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=5000, help="At most this many of an incident.")] = 100,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Append failures from production as a new version, each row with its origin.

    Example:

      controlplane dataset append support --from-incident v1.0-3fa91c2b-v9 --actor ana
    """
    from jobs import dataset_command as job

    value = job.append_command(home, name, from_incident, from_conversation or [], limit, actor, clock())
    show(value, as_json, f"{value['name']}@{value['version']}: {value['added']} rows added, {value['rows']} in all")


@dataset.command("list")
@command
def dataset_list(home: Home = None, as_json: AsJson = False) -> None:
    """All versions of all data sets, oldest first."""
    from jobs import dataset_command as job

    rows = job.list_command(home, clock())
    text = "\n".join(job.version_line(row) for row in rows) or "no data set yet"
    show({"datasets": [job.version_json(row) for row in rows]}, as_json, text)


@dataset.command("show")
@command
def dataset_show(
    name: Annotated[str, typer.Argument(help="NAME or NAME@VERSION.")], home: Home = None, as_json: AsJson = False
) -> None:
    """What is in a version: rows by what they ask for, by origin and by topic; its content is checked."""
    from jobs import dataset_command as job

    found = job.load_command(home, name, clock())
    lines = [job.version_line(found.row)]
    lines += [f"  {key}: {value}" for key, value in found.rows.summary().items()]
    show(job.version_json(found.row), as_json, "\n".join(lines))


@dataset.command("diff")
@command
def dataset_diff(
    before: Annotated[str, typer.Argument(help="NAME or NAME@VERSION.")],
    after: Annotated[str, typer.Argument(help="NAME or NAME@VERSION.")],
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Rows that were added, removed or changed from one version to another."""
    from jobs import dataset_command as job

    value = job.diff_command(home, before, after, clock())
    show(value, as_json, job.diff_text(value))


@dataset.command("export")
@command
def dataset_export(
    name: Annotated[str, typer.Argument(help="NAME or NAME@VERSION.")],
    out: Annotated[Path, typer.Option("--out", help="File to write: JSON lines, one row a line.")],
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Write the rows of a version; adding the file again gives the same version."""
    from jobs import dataset_command as job

    found = job.load_command(home, name, clock())
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(found.rows.text, encoding="utf-8")
    value = {"version": found.row.version, "rows": found.row.rows, "out": str(out)}
    show(value, as_json, f"{found.row.rows} rows of {found.row.name}@{found.row.version} in {out}")


review = typer.Typer(
    help="Reviewed outputs: people label a sample of answers; and the weekly review.", no_args_is_help=True
)


@review.command("next")
@command
def review_next(
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most this many.")] = 1,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Show the oldest answers of the queue that nobody has labelled.

    Example:

      controlplane review next --limit 5
    """
    from jobs import review_command as job

    waiting = [item for item in job.queue_command(home, clock())[0] if item.label is None]
    text = "\n".join(job.item_text(item) for item in waiting[:limit]) or "nothing waits"
    show({"waiting": len(waiting), "items": [job.item_json(item) for item in waiting[:limit]]}, as_json, text)


@review.command("label")
@command
def review_label(
    interaction_id: Annotated[str, typer.Argument(help="Id of the answer, as `review next` shows it.")],
    label: Annotated[str, typer.Argument(help="correct, incorrect or unsafe.")],
    reviewer: Annotated[str, typer.Option("--reviewer", help="Who looked; not who made the release.")],
    note: Annotated[str, typer.Option("--note", help="Why; written to the audit log.")] = "",
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Label a queued answer. A later label replaces it in the count, never in the record."""
    from jobs import review_command as job

    value = job.label_command(home, interaction_id, label, note, reviewer, clock())
    show(value, as_json, f"{value['interaction_id']}: {value['label']}")


@review.command("list")
@command
def review_list(home: Home = None, as_json: AsJson = False) -> None:
    """The whole queue of the current stage, oldest first, with the labels it has."""
    from jobs import review_command as job

    items = job.queue_command(home, clock())[0]
    text = "\n".join(job.item_text(item) for item in items) or "the queue is empty"
    show({"items": [job.item_json(item) for item in items]}, as_json, text)


@review.command("stats")
@command
def review_stats(home: Home = None, as_json: AsJson = False) -> None:
    """Counts of the queue, and what it adds to the gate."""
    from jobs import review_command as job

    value = job.stats_command(home, clock())
    head = "{labelled} of {queued} labelled: {correct} correct, {incorrect} incorrect, {unsafe} unsafe".format(**value)
    lines = [f"  {line['verdict']:12} {line['name']}: {line['have']}, needs {line['need']}" for line in value["gate"]]
    show(value, as_json, "\n".join([head, *lines]))
